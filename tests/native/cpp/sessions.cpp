// Runs a method on rows of a file, in sessions that must not allocate, and writes what it gives.
// sessions MODEL METHOD OUT dense TYPE EXTENT... X
// sessions MODEL METHOD OUT csr TYPE ROWS COLUMNS DATA IDS OFFSETS
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <slim.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<long> allocations{0};

}  // namespace

// Of glibc: what everything in the process asks for memory by, the library too.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, size_t bytes) {
  ++allocations;
  return __libc_realloc(old, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** made, size_t alignment, size_t bytes) {
  ++allocations;
  *made = __libc_memalign(alignment, bytes);
  return *made == nullptr ? 12 : 0;
}
}

namespace {

using Bytes = std::vector<char>;

Bytes read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

size_t size_of(slim_type type) {
  constexpr size_t kSizes[] = {4, 8, 1, 2, 4, 8, 1, 2, 1};
  return kSizes[type];
}

struct Rows {
  slim_type type;
  std::vector<int64_t> shape;
  Bytes data, ids, offsets;
  slim_csr csr = {};

  // So many of them, from one on; `extents` and `place` keep what it points to.
  slim_array part(int64_t first, int64_t count, std::vector<int64_t>& extents,
                  slim_csr& place) const {
    extents = shape;
    extents[0] = count;
    slim_array array = {"X", type, data.data(), shape.size(), extents.data(), nullptr};
    if (csr.offsets != nullptr) {
      place = csr;
      place.offsets = static_cast<const char*>(csr.offsets) + 4 * first;
      array.csr = &place;
      return array;
    }
    size_t row = size_of(type);
    for (size_t i = 1; i < shape.size(); ++i) row *= static_cast<size_t>(shape[i]);
    array.data = data.data() + static_cast<size_t>(first) * row;
    return array;
  }
};

Bytes bytes_of(const slim_array* found) {
  size_t bytes = size_of(found->type);
  for (size_t i = 0; i < found->rank; ++i) bytes *= static_cast<size_t>(found->shape[i]);
  const char* data = static_cast<const char*>(found->data);
  return {data, data + bytes};
}

// In a session for so many rows: all of them, so many at a time.
Bytes run(const slim_model* model, const char* method, const Rows& rows, int64_t most) {
  slim_session_options options = {};
  options.rows = most;
  options.stored = 1000;
  slim_session* session = nullptr;
  slim::check(slim_session_new(model, method, &options, &session));
  Bytes all;
  std::vector<int64_t> extents(rows.shape.size());
  slim_csr place;
  for (int64_t first = 0; first < rows.shape[0]; first += most) {
    const int64_t count = std::min(most, rows.shape[0] - first);
    const slim_array part = rows.part(first, count, extents, place);
    const long before = allocations;
    slim::check(slim_session_run(session, &part, 1));
    if (allocations != before) fail("a run allocated " + std::to_string(allocations - before));
    const Bytes own = bytes_of(slim_session_result(session, 0));
    all.insert(all.end(), own.begin(), own.end());
  }
  slim_session_free(session);
  return all;
}

}  // namespace

int main(int count, char** words) try {
  if (count < 7) return 2;
  Rows rows;
  rows.type = static_cast<slim_type>(std::atoi(words[5]));
  if (std::string(words[4]) == "csr") {
    rows.shape = {std::atoll(words[6]), std::atoll(words[7])};
    rows.data = read(words[8]);
    rows.ids = read(words[9]);
    rows.offsets = read(words[10]);
    rows.csr = {rows.ids.data(), SLIM_I32, rows.offsets.data(), SLIM_I32};
  } else {
    for (int i = 6; i + 1 < count; ++i) rows.shape.push_back(std::atoll(words[i]));
    rows.data = read(words[count - 1]);
  }
  const Bytes file = read(words[1]);
  const slim::Model model(file.data(), file.size());  // in memory, as nothing else is here
  const char* method = words[2];

  std::vector<int64_t> extents;
  slim_csr place;
  const slim_array whole = rows.part(0, rows.shape[0], extents, place);
  slim_results* results = nullptr;
  slim::check(slim_run(model.get(), method, &whole, 1, 2, &results));
  const Bytes wanted = bytes_of(slim_result(results, 0));
  slim_free_results(results);
  for (const int64_t most : {int64_t{1}, int64_t{7}, rows.shape[0]}) {
    if (run(model.get(), method, rows, most) != wanted) {
      fail("a session for " + std::to_string(most) + " rows gives other bits");
    }
  }
  // A session for each thread.
  std::vector<std::thread> threads;
  std::vector<Bytes> found(4);
  for (size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] {
      slim_session_options options = {};
      options.rows = rows.shape[0];
      options.stored = 1000;
      slim_session* session = nullptr;
      slim::check(slim_session_new(model.get(), method, &options, &session));
      for (int k = 0; k < 20; ++k) slim::check(slim_session_run(session, &whole, 1));
      found[i] = bytes_of(slim_session_result(session, 0));
      slim_session_free(session);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Bytes& own : found) {
    if (own != wanted) fail("a thread's session gives other bits");
  }
  std::ofstream(words[3], std::ios::binary)
      .write(wanted.data(), static_cast<std::streamsize>(wanted.size()));
  return 0;
} catch (const slim::Error& error) {
  fail(error.what());
}
