// Where NVIDIA's libraries may lie: the system, PyPI's packages, a toolkit.
#include "cuda/nvidia/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

namespace slim::cuda::nvidia {
namespace {

std::mutex mutex;
std::vector<std::string>& package_directories() {
  static auto& all = *new std::vector<std::string>;
  return all;
}

}  // namespace

void set_package_directories(std::vector<std::string> directories) {
  const std::lock_guard lock(mutex);
  package_directories() = std::move(directories);
}

void* Library::find(const char* name) const { return dlsym(handle, name); }

Library open_library(const std::vector<std::string>& names, const std::string& package) {
  std::vector<std::string> folders{""};
  {
    const std::lock_guard lock(mutex);
    for (const std::string& directory : package_directories()) {
      folders.push_back(directory + "/cu13/lib/");
      folders.push_back(directory + '/' + package + "/lib/");
    }
  }
  for (const char* variable : {"CUDA_PATH", "CUDA_HOME"}) {
    if (const char* toolkit = std::getenv(variable)) {
      folders.push_back(std::string(toolkit) + "/lib64/");
    }
  }
  folders.push_back("/usr/local/cuda/lib64/");
  Library library;
  for (const std::string& name : names) {
    for (const std::string& folder : folders) {
      library.handle = dlopen((folder + name).c_str(), RTLD_NOW | RTLD_LOCAL);
      if (library.handle != nullptr) return library;
      const char* why = dlerror();
      if (folder.empty() && why != nullptr) {
        library.failures += (library.failures.empty() ? "" : "; ") + std::string(why);
      }
    }
  }
  return library;
}

}  // namespace slim::cuda::nvidia
