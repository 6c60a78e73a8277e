// Files of the system: mmap, and write-sync-rename.
#include "file/mapping.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

namespace slim {
namespace {

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, const std::string& called)
      : number_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (number_ < 0) throw FileError(errno, called);
  }
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int operator*() const { return number_; }

 private:
  int number_;
};

// Up to the name in it.
std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "" : path.substr(0, slash + 1);
}

// A name beside `path` that no other writer chooses, and that is no longer than names may be.
std::string beside(const std::string& path) {
  constexpr size_t kMost = NAME_MAX - 21;
  std::random_device random;
  char name[24];
  std::snprintf(name, sizeof name, ".%08x%08x.tmp", random(), random());
  const std::string folder = folder_of(path);
  return folder + path.substr(folder.size(), kMost) + name;
}

std::string known_as(int file) { return "/proc/self/fd/" + std::to_string(file); }

// A file that has no name before it is whole, so that a writer who is killed leaves none behind;
// null where the system has no such files.
std::unique_ptr<Descriptor> without_name([[maybe_unused]] const std::string& folder) {
#ifdef O_TMPFILE
  try {
    auto file =
        std::make_unique<Descriptor>(folder.empty() ? "." : folder, O_WRONLY | O_TMPFILE, folder);
    if (::access(known_as(**file).c_str(), F_OK) == 0) return file;
  } catch (const FileError&) {
  }
#endif
  return nullptr;
}

// Where the links of a name lead, maybe to a file that is not there yet.
std::string followed(const std::string& path) {
  constexpr int kMostLinks = 40;  // the system's
  std::string at = path;
  for (int i = 0; i < kMostLinks; ++i) {
    char target[PATH_MAX];
    const ssize_t length = ::readlink(at.c_str(), target, sizeof target);
    if (length < 0) return at;
    const std::string next(target, static_cast<size_t>(length));
    at = next.starts_with('/') ? next : folder_of(at) + next;
  }
  throw FileError(ELOOP, path);
}

void write_all(int file, std::string_view bytes, const std::string& path) {
  constexpr size_t kMost = 32 << 20;
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), std::min(bytes.size(), kMost));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw FileError(errno, path);
    bytes.remove_prefix(static_cast<size_t>(written));
#ifdef SYNC_FILE_RANGE_WRITE
    // The disk begins with these while the next ones are copied; fsync tells its errors.
    if (!bytes.empty()) ::sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
  }
}

}  // namespace

FileError::FileError(int code, std::string path)
    : std::runtime_error(path + ": " + std::strerror(code)), code(code), path(std::move(path)) {}

void Mapping::refuse_over(int64_t bytes, int64_t most) {
  if (bytes <= most) return;
  throw std::invalid_argument("the file has " + std::to_string(bytes) + " bytes, the limit is " +
                              std::to_string(most));
}

Mapping Mapping::of_file(const std::string& path, int64_t most) {
  const Descriptor file(path, O_RDONLY, path);
  struct stat facts;
  if (::fstat(*file, &facts) != 0) throw FileError(errno, path);
  if (S_ISDIR(facts.st_mode)) throw FileError(EISDIR, path);
  if (!S_ISREG(facts.st_mode)) throw FileError(ENODEV, path);
  refuse_over(facts.st_size, most);
  Mapping mapping;
  if (facts.st_size == 0) return mapping;
  void* address = ::mmap(nullptr, static_cast<size_t>(facts.st_size), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE, *file, 0);
  if (address == MAP_FAILED) throw FileError(errno, path);
  mapping.data_ = static_cast<std::byte*>(address);
  mapping.size_ = facts.st_size;
  return mapping;
}

Mapping Mapping::of_bytes(std::string_view bytes) {
  Mapping mapping;
  mapping.copy_ = Arena(static_cast<int64_t>(bytes.size()));
  mapping.data_ = mapping.copy_.data();
  mapping.size_ = static_cast<int64_t>(bytes.size());
  if (!bytes.empty()) std::memcpy(mapping.data_, bytes.data(), bytes.size());
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      copy_(std::move(other.copy_)) {}

Mapping::~Mapping() {
  if (data_ != nullptr && copy_.data() == nullptr) ::munmap(data_, static_cast<size_t>(size_));
}

void write_file(const std::string& path, const std::vector<std::string_view>& pieces,
                const std::function<void()>& finish) {
  const std::string place = followed(path);
  struct stat former;
  const bool there = ::stat(place.c_str(), &former) == 0;
  if (there && S_ISDIR(former.st_mode)) throw FileError(EISDIR, path);
  if (there && !S_ISREG(former.st_mode)) {  // a device or a pipe is to stay one
    const Descriptor file(place, O_WRONLY, path);
    finish();
    for (const std::string_view piece : pieces) write_all(*file, piece, path);
    return;
  }
  const std::string temporary = beside(place);
  try {
    {
      const std::unique_ptr<Descriptor> nameless = without_name(folder_of(place));
      const auto named =
          nameless ? nullptr
                   : std::make_unique<Descriptor>(temporary, O_WRONLY | O_CREAT | O_EXCL, path);
      const Descriptor& file = nameless ? *nameless : *named;
      // Who may read the old file may read the new one, and nobody else.
      if (there && ::fchmod(*file, former.st_mode & 07777) != 0) throw FileError(errno, path);
      for (const std::string_view piece : pieces) write_all(*file, piece, path);
      finish();
      if (::lseek(*file, 0, SEEK_SET) != 0) throw FileError(errno, path);
      write_all(*file, pieces[0], path);
      if (::fsync(*file) != 0) throw FileError(errno, path);
      // The system gives a file without a name no other's name: for an instant it has one beside.
      if (nameless && ::linkat(AT_FDCWD, known_as(*file).c_str(), AT_FDCWD, temporary.c_str(),
                               AT_SYMLINK_FOLLOW) != 0) {
        throw FileError(errno, path);
      }
    }
    if (::rename(temporary.c_str(), place.c_str()) != 0) throw FileError(errno, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  // The new name too is to outlast a crash; some systems cannot sync a folder.
  const std::string folder = folder_of(place);
  const int opened =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  ::fsync(opened);
  ::close(opened);
}

}  // namespace slim
