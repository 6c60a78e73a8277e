// The shim, the source, and for each kernel a function of C that calls it.
#include "cuda/emulated/host_compiler.h"

#include <dlfcn.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cuda/emulated/shim.h"
#include "cuda/kernel_cache.h"

namespace slim::cuda {
namespace {

namespace fs = std::filesystem;

size_t skip_space(const std::string& text, size_t at) {
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
  return at;
}

size_t skip_word(const std::string& text, size_t at) {
  while (at < text.size() &&
         (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_')) {
    ++at;
  }
  return at;
}

// SLIM_KERNEL(name) for each `extern "C" __global__ void [__launch_bounds__(…)] name(`.
std::string entries(const std::string& source) {
  constexpr char kMark[] = "extern \"C\" __global__ void";
  std::string text;
  for (size_t at = source.find(kMark); at != source.npos; at = source.find(kMark, at)) {
    at = skip_space(source, at + sizeof kMark - 1);
    if (source.compare(at, 17, "__launch_bounds__") == 0) {
      at = skip_space(source, source.find(')', at) + 1);
    }
    text += "SLIM_KERNEL(" + source.substr(at, skip_word(source, at) - at) + ")\n";
  }
  return text;
}

// `extern __shared__ type name[];` is a pointer to what the launch has room for.
std::string without_dynamic(std::string source) {
  constexpr char kMark[] = "extern __shared__ ";
  for (size_t at = source.find(kMark); at != source.npos; at = source.find(kMark, at)) {
    const size_t end = source.find(';', at), bracket = source.rfind('[', end);
    size_t name = bracket;
    while (std::isspace(static_cast<unsigned char>(source[name - 1])) == 0) --name;
    const size_t type = at + sizeof kMark - 1;
    const std::string words = source.substr(type, name - type);
    source.replace(at, end - at,
                   words + "*const " + source.substr(name, bracket - name) + " = (" + words +
                       "*)slim_now.dynamic");
  }
  return source;
}

std::string compiler() {
  const char* own = std::getenv("CXX");
  return own != nullptr && *own != 0 ? own : "c++";
}

constexpr char kOptions[] =
    " -std=c++17 -x c++ -O1 -shared -fPIC -w -ffp-contract=off -fno-math-errno -fwrapv"
    " -fno-strict-aliasing -fvisibility=hidden";

std::string quoted(const fs::path& path) { return '\'' + path.string() + '\''; }

// Files that no cache keeps lie there, and end when they are opened.
fs::path passing() { return fs::temp_directory_path() / "slim-host"; }

}  // namespace

HostModule::HostModule(const std::string& file)
    : library_(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  std::error_code ignored;
  if (fs::path(file).parent_path() == passing()) fs::remove(file, ignored);
}

HostModule::~HostModule() {
  if (library_ != nullptr) dlclose(library_);
}

std::string compile_on_host(const std::string& source) {
  const std::string text =
      kShim + ("#line 1 \"kernels\"\n" + without_dynamic(source)) + '\n' + entries(source);
  const std::string command = compiler() + kOptions;
  std::error_code ignored;
  fs::path directory = cache_directory();
  if (!directory.empty()) fs::create_directories(directory, ignored);
  fs::path library = directory / ("host-" + cache_key(command + '\n' + text) + ".so");
  if (!directory.empty() && HostModule(library).is_open()) return library;
  fs::path fresh = fresh_name(library);
  if (directory.empty() || !std::ofstream(fresh)) {
    fs::create_directories(passing(), ignored);
    fresh = fresh_name(passing() / library.filename());
    library.clear();
  }
  const fs::path code = fresh.string() + ".cpp", log = fresh.string() + ".log";
  std::ofstream(code) << text;
  const int failed = std::system(("LD_PRELOAD= " + command + " -o " + quoted(fresh) + ' ' +
                                  quoted(code) + " 2> " + quoted(log))
                                     .c_str());
  std::ifstream said(log);
  const std::string words{std::istreambuf_iterator<char>(said), {}};
  fs::remove(code, ignored);
  fs::remove(log, ignored);
  if (failed != 0) {
    fs::remove(fresh, ignored);
    throw DriverError("a kernel does not compile (" + command + "):\n" + words);
  }
  if (library.empty()) return fresh;
  fs::rename(fresh, library, ignored);
  return ignored ? fresh : library;
}

HostKernel HostModule::kernel(const std::string& name) const {
  HostKernel kernel;
  kernel.name = name;
  const auto find = [&](const std::string& symbol) { return dlsym(library_, symbol.c_str()); };
  kernel.call = reinterpret_cast<void (*)(const void*)>(find("slim_call_" + name));
  if (kernel.call == nullptr) return kernel;
  kernel.bytes = *static_cast<const unsigned long long*>(find("slim_size_" + name));
  kernel.now = static_cast<Now*>(find("slim_now"));
  return kernel;
}

}  // namespace slim::cuda
