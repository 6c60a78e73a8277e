// Memory, streams, events, copies and recordings.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cuda/emulated/entry.h"

namespace slim::cuda::emulated {
namespace {

bool is_recording() {
  const auto& recorded = current()->gpu.recorded;
  return std::any_of(recorded.begin(), recorded.end(), [](StreamHandle stream) {
    return stream->recorder == std::this_thread::get_id();
  });
}

Result spoil(StreamOf& stream, const std::string& words) {
  stream.spoilt = true;
  return because(kNotRecorded, words);
}

// Neither a GPU's nor pinned: a copy reads it at once.
bool is_pageable(const EmulatedGpu& gpu, const std::byte* data) {
  if (gpu.memory.holds(data)) return false;
  auto piece = gpu.pinned.upper_bound(data);
  return piece == gpu.pinned.begin() || data >= (--piece)->first + piece->second;
}

}  // namespace

Result cuMemGetInfo_v2(size_t* free, size_t* total) {
  SLIM_ENTER(cuMemGetInfo_v2);
  const EmulatedGpu& gpu = current()->gpu;
  *total = static_cast<size_t>(gpu.bytes);
  *free = static_cast<size_t>(std::max<int64_t>(gpu.bytes - gpu.memory.used(), 0));
  return 0;
}

Result cuMemAlloc_v2(Pointer* data, size_t bytes) {
  SLIM_ENTER(cuMemAlloc_v2);
  if (is_recording()) {
    return because(kNotRecorded, "memory is asked for while a stream is recorded");
  }
  EmulatedGpu& gpu = current()->gpu;
  const auto size = static_cast<int64_t>(bytes);
  std::byte* made = size > gpu.bytes - gpu.memory.used() ? nullptr : gpu.memory.allocate(size);
  if (made == nullptr) return kOutOfMemory;
  *data = reinterpret_cast<Pointer>(made);
  return 0;
}

Result cuMemFree_v2(Pointer data) {
  SLIM_ENTER(cuMemFree_v2);
  current()->gpu.memory.release(reinterpret_cast<std::byte*>(data));
  return 0;
}

Result cuMemAllocHost_v2(void** data, size_t bytes) {
  SLIM_ENTER(cuMemAllocHost_v2);
  *data = std::malloc(bytes);
  if (*data == nullptr) return kOutOfMemory;
  std::memset(*data, 0xff, bytes);
  current()->gpu.pinned[static_cast<std::byte*>(*data)] = static_cast<int64_t>(bytes);
  return 0;
}

Result cuMemFreeHost(void* data) {
  SLIM_ENTER(cuMemFreeHost);
  current()->gpu.pinned.erase(static_cast<std::byte*>(data));
  std::free(data);
  return 0;
}

Result cuPointerGetAttribute(void* value, int, Pointer data) {
  SLIM_ENTER(cuPointerGetAttribute);
  for (const auto& context : emulated_gpus()) {
    if (!context->gpu.memory.holds(reinterpret_cast<std::byte*>(data))) continue;
    *static_cast<int*>(value) = context->gpu.number;
    return 0;
  }
  return kInvalidValue;
}

Result cuStreamCreate(StreamHandle* stream, unsigned int) {
  SLIM_ENTER(cuStreamCreate);
  *stream = new StreamOf(current()->gpu);
  return 0;
}

Result cuStreamDestroy_v2(StreamHandle stream) {
  SLIM_ENTER(cuStreamDestroy_v2, &stream->gpu);
  run_until(stream->gpu, *stream->queue, INT64_MAX);
  std::erase(stream->gpu.recorded, stream);
  const EmulatedGpu& gpu = stream->gpu;
  delete stream;
  return outcome(gpu);
}

// What runs meanwhile runs, whatever the call gives.
Result cuStreamSynchronize(StreamHandle stream) {
  const std::lock_guard lock(emulated_lock());
  const Result refused = enter("cuStreamSynchronize", &stream->gpu);
  if (refused == 0 && stream->recording) {
    return spoil(*stream, "a stream is waited for while it is recorded");
  }
  if (!stream->recording) run_until(stream->gpu, *stream->queue, INT64_MAX);
  return refused != 0 ? refused : outcome(stream->gpu);
}

Result cuStreamWaitEvent(StreamHandle stream, EventHandle event, unsigned int) {
  SLIM_ENTER(cuStreamWaitEvent, &stream->gpu);
  if (stream->recording) return spoil(*stream, "an event is waited for that is not recorded");
  if (event->queue == nullptr) return 0;
  put_work(*stream, [&gpu = stream->gpu, queue = event->queue, place = event->place] {
    run_until(gpu, *queue, place);
  });
  return 0;
}

Result cuEventCreate(EventHandle* event, unsigned int) {
  SLIM_ENTER(cuEventCreate);
  *event = new EventOf;
  return 0;
}

Result cuEventDestroy_v2(EventHandle event) {
  const std::lock_guard lock(emulated_lock());
  delete event;
  return 0;
}

Result cuEventRecord(EventHandle event, StreamHandle stream) {
  SLIM_ENTER(cuEventRecord, &stream->gpu);
  if (stream->recording) return spoil(*stream, "an event is marked while its stream is recorded");
  event->queue = stream->queue;
  event->place = event->queue->ran + static_cast<int64_t>(event->queue->works.size());
  return 0;
}

Result cuEventSynchronize(EventHandle event) {
  SLIM_ENTER(cuEventSynchronize);
  if (event->queue == nullptr) return 0;
  run_until(current()->gpu, *event->queue, event->place);
  return outcome(current()->gpu);
}

Result cuMemcpyAsync(Pointer to, Pointer from, size_t bytes, StreamHandle stream) {
  SLIM_ENTER(cuMemcpyAsync, &stream->gpu);
  if (stream->spoilt) return kSpoilt;
  EmulatedGpu& gpu = stream->gpu;
  auto* target = reinterpret_cast<std::byte*>(to);
  const auto* source = reinterpret_cast<const std::byte*>(from);
  std::shared_ptr<const std::vector<std::byte>> read;
  if (is_pageable(gpu, source)) {
    read = std::make_shared<const std::vector<std::byte>>(source, source + bytes);
  }
  put_work(*stream, [&gpu, target, source, bytes, read] {
    const std::byte* begin = read ? read->data() : source;
    const auto size = static_cast<int64_t>(bytes);
    if (!gpu.memory.is_within(target, size) || !gpu.memory.is_within(begin, size)) {
      return gpu.fail("a copy goes beyond its piece of memory");
    }
    std::memmove(target, begin, bytes);
  });
  return 0;
}

Result cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, StreamHandle stream) {
  SLIM_ENTER(cuMemsetD8Async, &stream->gpu);
  if (stream->spoilt) return kSpoilt;
  EmulatedGpu& gpu = stream->gpu;
  put_work(*stream, [&gpu, to = reinterpret_cast<std::byte*>(to), value, bytes] {
    if (!gpu.memory.is_within(to, static_cast<int64_t>(bytes))) {
      return gpu.fail("a fill goes beyond its piece of memory");
    }
    std::memset(to, value, bytes);
  });
  return 0;
}

Result cuStreamBeginCapture_v2(StreamHandle stream, int) {
  SLIM_ENTER(cuStreamBeginCapture_v2, &stream->gpu);
  if (stream->recording) return because(kInvalidValue, "the stream is recorded already");
  stream->recording = std::make_unique<std::vector<Work>>();
  stream->recorder = std::this_thread::get_id();
  stream->spoilt = false;
  stream->gpu.recorded.push_back(stream);
  return 0;
}

Result cuStreamEndCapture(StreamHandle stream, GraphHandle* graph) {
  *graph = nullptr;
  const std::lock_guard lock(emulated_lock());
  const Result injected = enter("cuStreamEndCapture", &stream->gpu);
  if (!stream->recording) return kInvalidValue;
  if (stream->recorder != std::this_thread::get_id()) return kWrongThread;
  const std::unique_ptr<std::vector<Work>> works = std::move(stream->recording);
  std::erase(stream->gpu.recorded, stream);
  const bool spoilt = std::exchange(stream->spoilt, false);
  if (injected != 0) return injected;
  if (spoilt) return kSpoilt;
  *graph = new GraphOf{std::move(*works)};
  return 0;
}

Result cuGraphInstantiateWithFlags(GraphExecHandle* exec, GraphHandle graph, unsigned long long) {
  SLIM_ENTER(cuGraphInstantiateWithFlags);
  *exec = new GraphExecOf{graph->works};
  return 0;
}

Result cuGraphUpload(GraphExecHandle, StreamHandle stream) {
  SLIM_ENTER(cuGraphUpload, &stream->gpu);
  return 0;
}

Result cuGraphLaunch(GraphExecHandle exec, StreamHandle stream) {
  SLIM_ENTER(cuGraphLaunch, &stream->gpu);
  if (stream->spoilt) return kSpoilt;
  for (const Work& work : exec->works) put_work(*stream, work);
  return 0;
}

Result cuGraphExecDestroy(GraphExecHandle exec) {
  const std::lock_guard lock(emulated_lock());
  delete exec;
  return 0;
}

Result cuGraphDestroy(GraphHandle graph) {
  const std::lock_guard lock(emulated_lock());
  delete graph;
  return 0;
}

}  // namespace slim::cuda::emulated
