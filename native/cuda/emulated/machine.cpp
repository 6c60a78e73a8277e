// Queues of work, which runs when somebody waits for it.
#include "cuda/emulated/machine.h"

namespace slim::cuda {

std::mutex& emulated_lock() {
  static auto& lock = *new std::mutex;
  return lock;
}

std::vector<std::unique_ptr<nvidia::ContextOf>>& emulated_gpus() {
  static auto& all = *new std::vector<std::unique_ptr<nvidia::ContextOf>>;
  return all;
}

int add_emulated_gpu(int64_t bytes) {
  auto& all = emulated_gpus();
  all.push_back(std::make_unique<nvidia::ContextOf>());
  EmulatedGpu& gpu = all.back()->gpu;
  gpu.number = static_cast<int>(all.size()) - 1;
  gpu.bytes = bytes;
  return gpu.number;
}

void put_work(nvidia::StreamOf& stream, Work work) {
  if (stream.recording) {
    stream.recording->push_back(std::move(work));
  } else {
    stream.queue->works.push_back(std::move(work));
  }
}

void run_until(EmulatedGpu& gpu, Queue& queue, int64_t place) {
  while (queue.ran < place && !queue.works.empty() && gpu.error.empty()) {
    const Work work = std::move(queue.works.front());
    queue.works.pop_front();
    ++queue.ran;
    gpu.memory.open();
    work();
    gpu.memory.close();
  }
}

}  // namespace slim::cuda
