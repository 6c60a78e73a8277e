// What the CUDA half asks of a driver: NVIDIA's, or the tests' one that runs kernels on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "cuda/lender.h"
#include "cuda/refusals.h"

namespace slim::cuda {

// A driver that cannot do what it was asked: no GPU, a kernel that does not compile.
struct DriverError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What was put on a stream cannot be recorded: another thread's calls can do that, too.
struct RecordingRefused : DriverError {
  using DriverError::DriverError;
};

struct LostDevice : DriverError {
  LostDevice(const std::string& device, const std::string& error)
      : DriverError("the GPU " + device + " stopped working: " + error +
                    ": its memory is lost, start a new process or use device=\"cpu\"") {}
};

class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(const std::string& words)
      : words_(words + ": take a smaller batch, or device=\"cpu\"") {}
  OutOfMemory(const std::string& device, int64_t needed, int64_t free)
      : words_(device + " has no " + std::to_string(needed) + " bytes left: " +
               std::to_string(free) + " bytes are free; take a smaller batch, or device=\"cpu\"") {}
  const char* what() const noexcept override { return words_.c_str(); }

 private:
  std::string words_;
};

struct Properties {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int number = 0;    // of this machine's
  int major = 0;     // compute capability
  int minor = 0;
  int multiprocessors = 1;
  int together = 1;      // blocks that may wait for each other
  int64_t memory = 0;    // bytes
  std::string versions;  // of the driver and the libraries, for people
};

struct Grid {
  int64_t blocks = 1;
  int threads = 1;  // of a block
  int shared = 0;   // bytes of dynamic shared memory of a block
  // All blocks run at once, so that they may wait for each other: anywhere on the GPU or, up to 16
  // of them, as one cluster.
  enum class Meet : uint8_t { never, anywhere, cluster };
  Meet meet = Meet::never;
};

// A queue on the device: what is put there runs in order.
class Stream {
 public:
  virtual ~Stream() = default;
};

// A place on a stream, which others wait for; one that was never marked is passed.
class Event {
 public:
  virtual ~Event() = default;
};

// Of a module; lives as long as it.
class Kernel {
 public:
  virtual ~Kernel() = default;
};

// Compiled source.
class Module {
 public:
  virtual ~Module() = default;
  // Of an `extern "C" __global__` function, which takes one struct by value. Throws DriverError.
  virtual std::unique_ptr<Kernel> kernel(const std::string& name, const Grid& grid) = 0;
};

// What was put on a stream while it was recorded, to be put there again as one.
class Recording {
 public:
  virtual ~Recording() = default;
};

class Products;
class Convolutions;

// Calls from any thread. What is noexcept keeps what is wrong. An error ends all work: `error` says
// what it was, and nothing runs after it. A refusal is of the work that asked (Refusals::Scope):
// what follows on that stream is left out until somebody waits for the stream itself.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual const Properties& properties() const = 0;
  int64_t free_memory() const;

  // Lent where somebody lends, else its own. What is released, no stream uses any more.
  std::byte* allocate(int64_t bytes);  // throws OutOfMemory
  void release(std::byte* data) noexcept;
  virtual int64_t own_free_memory() const = 0;
  virtual std::byte* allocate_own(int64_t bytes) = 0;
  virtual void release_own(std::byte* data) noexcept = 0;
  // Whether data lie where kernels read them, whoever put them there.
  virtual bool holds(const std::byte* data) const = 0;
  // Of the host, which the device reads and writes without a stop; null where there is none left.
  virtual std::byte* allocate_host(int64_t bytes) = 0;  // throws OutOfMemory
  virtual void release_host(std::byte* data) noexcept = 0;

  virtual std::unique_ptr<Stream> open_stream() = 0;  // throws DriverError
  // What other libraries know it by.
  virtual void* handle(Stream& stream) const noexcept = 0;
  // Of another library: waits for it. Throws DriverError.
  virtual void wait_for(void* handle) = 0;
  // Work of other libraries, to which this device is the current one meanwhile.
  virtual void inside(const std::function<void()>& work) = 0;
  // In the order of the stream, from and to any memory. Of pageable host memory the call returns
  // once it was read; what lands there is whole after `wait`.
  virtual void copy(Stream& stream, std::byte* to, const std::byte* from,
                    int64_t bytes) noexcept = 0;
  virtual void fill(Stream& stream, std::byte* to, uint8_t value, int64_t bytes) noexcept = 0;
  // `arguments`: the struct that the kernel takes, read before the call returns.
  virtual void launch(Stream& stream, const Kernel& kernel, const Grid& grid, const void* arguments,
                      size_t bytes) noexcept = 0;
  virtual void wait(Stream& stream) noexcept = 0;

  virtual std::unique_ptr<Event> open_event() = 0;  // throws DriverError
  virtual void mark(Event& event, Stream& stream) noexcept = 0;
  // What is put on the stream from here on runs after what is before the mark.
  virtual void follow(Stream& stream, const Event& event) noexcept = 0;
  virtual void wait(const Event& event) noexcept = 0;

  // Between the two, what is put on the stream does not run. Throws DriverError: RecordingRefused
  // where it may be tried again, or done without.
  virtual void begin_recording(Stream& stream) = 0;
  virtual std::unique_ptr<Recording> end_recording(Stream& stream) = 0;
  virtual void replay(Stream& stream, const Recording& recording) noexcept = 0;

  // Whether all blocks of such a grid, which wait for each other, run at once.
  virtual bool fits(const Kernel& kernel, const Grid& grid) = 0;

  // From the cache of compiled kernels if it is there. Throws DriverError with the compiler's log.
  virtual std::unique_ptr<Module> compile(const std::string& source) = 0;

  // A library for products of matrices, opened when it is asked for first; null: there is none.
  virtual Products* products() = 0;
  // The same for convolutions; what there is of it, or why there is none, for people.
  virtual Convolutions* convolutions() = 0;
  virtual std::string about_convolutions() = 0;

  virtual std::string error() const = 0;  // empty: none
  virtual Refusals& refusals() = 0;
  // Whether all that this thread's work asked for was done so far.
  bool is_well() { return error().empty() && !refusals().any(); }

 private:
  Lent lent_;
};

// NVIDIA's, of the device of this number. Throws DriverError that says what to install.
std::unique_ptr<Driver> open_nvidia(int device);

// Compiles with the host's C++ compiler (CXX, else c++), and runs the threads of a block in turns.
// With `nvrtc` NVIDIA's compiler must take the source too.
// A stream runs when somebody waits for it, or for another that follows it. `memory`: bytes. `dnn`:
// a library that is called as cuDNN is, and takes the host's memory. Without `sixteen_bits` its own
// library for products refuses operands of such.
std::unique_ptr<Driver> open_emulated(bool nvrtc = false, int64_t memory = int64_t{1} << 30,
                                      const std::string& dnn = "", bool sixteen_bits = true);

}  // namespace slim::cuda
