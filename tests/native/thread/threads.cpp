// The lanes of a call, then threads that predict, train, save and clear caches on one program at
// once, under ThreadSanitizer: threads MODEL SECONDS NAME=VALUE...
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "file/model_file.h"
#include "runtime/call/forward.h"
#include "runtime/call/team.h"
#include "runtime/data/bind.h"
#include "runtime/plan/context_pool.h"
#include "runtime/train/hypers.h"
#include "runtime/train/trainer.h"

namespace {

using namespace slim;

constexpr int64_t kRows = 90, kColumns = 20, kEpochs = 2;
constexpr int kTurns = 5;

struct Data {
  std::vector<double> x, weights;
  std::vector<int32_t> y;

  Data() {
    uint32_t state = 1;
    const auto next = [&state] { return (state = state * 1664525u + 1013904223u) >> 8; };
    for (int64_t i = 0; i < kRows * kColumns; ++i) x.push_back(next() / double(1 << 23) - 1);
    for (int64_t i = 0; i < kRows; ++i) {
      y.push_back(static_cast<int32_t>(next() % 3));
      weights.push_back(1);
    }
  }
  std::vector<Source> sources(int64_t rows) const {
    const auto source = [&](const char* name, SourceType type, const void* data, int64_t columns,
                            int64_t size) {
      Source made;
      made.name = name;
      made.type = type;
      made.data = static_cast<const std::byte*>(data);
      made.shape = {rows};
      made.strides = {size};
      if (columns > 0) made.shape.push_back(columns), made.strides = {columns * size, size};
      return made;
    };
    return {source("X", SourceType::f64, x.data(), kColumns, 8),
            source("y", SourceType::i32, y.data(), 0, 4),
            source("sample_weight", SourceType::f64, weights.data(), 0, 8)};
  }
};

using Bytes = std::vector<std::byte>;

Bytes predict(const std::shared_ptr<const Model>& model, const ModelFile& file, const Data& data,
              int64_t rows, int lanes = 1) {
  Arrays arrays;
  arrays.param = file.content().program().params.data();
  arrays.state = file.content().program().state.data();
  ForwardOptions options;
  options.rows = rows;
  options.threads = lanes;
  Forward forward(model, "predict", data.sources(rows), {}, options, arrays, hypers_of(*model, {}));
  Returned& returned = forward.returns().at(0);
  int64_t bytes = size_of(returned.dtype);
  for (const int64_t extent : returned.shape) bytes *= extent;
  Arena result(bytes);
  returned.data = result.data();
  forward.run();
  return {result.data(), result.data() + bytes};
}

Arena copy(std::span<const std::byte> from, int64_t bytes) {
  Arena made(bytes);
  if (!from.empty()) std::memcpy(made.data(), from.data(), from.size());
  return made;
}

Bytes fit(const std::shared_ptr<const Model>& model, const ModelFile& file, const Data& data,
          const Numbers& numbers, int lanes = 1) {
  const Layout& layout = model->layout();
  const Arena params = copy(file.content().program().params, layout.param_bytes);
  const Arena state = copy(file.content().program().state, layout.state_bytes);
  const Arena slots(layout.slot_bytes), gradient(layout.param_bytes);
  Arrays arrays;
  arrays.param = params.data();
  arrays.state = state.data();
  arrays.slot = slots.data();
  arrays.gradient = gradient.data();
  std::vector<Segment> segments;
  for (const Layout::Place& place : layout.places) {
    if (place.base != Base::param) continue;
    Segment& segment = segments.emplace_back();
    segment.offset = place.offset / size_of(place.dtype);
    segment.length = place.bytes / size_of(place.dtype);
  }
  TrainerOptions options;
  options.steps.batch = 16;
  options.steps.threads = lanes;
  const std::vector<Source> sources = data.sources(kRows);
  const std::vector<Scheduled> scheduled = {{0, "learning_rate", 0.0, 1.0}};
  Trainer trainer(model, sources, all_rows(model->function("grad"), sources), options, arrays,
                  segments, hypers_of(*model, numbers), scheduled);
  const std::vector<double> rates(static_cast<size_t>(trainer.steps()), 0.01);
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {  // a run ends behind an epoch that is long
    const Start start{static_cast<uint64_t>(epoch), 0, epoch * trainer.steps()};
    trainer.run(start, trainer.steps(), rates.data(), 1, {}, false);
  }
  return {params.data(), params.data() + layout.param_bytes};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string path = argv[1];
  Numbers numbers;
  for (int i = 3; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t sign = word.find('=');
    numbers[word.substr(0, sign)] = std::atof(word.c_str() + sign + 1);
  }
  const Data data;
  const std::shared_ptr<const ModelFile> file = ModelFile::open(path);
  const auto fresh = [&] { return std::make_shared<const Model>(file->content().program().text); };
  const Bytes predicted = predict(fresh(), *file, data, kRows);
  const Bytes trained = fit(fresh(), *file, data, numbers);

  std::atomic<long> calls{0}, wrong{0};
  std::atomic<bool> stop{false};
  // Calls whose lanes, as many as OpenMP allows, share their work: those alone get all of them.
  const int64_t before = parallel_regions();
  for (int turn = 0; turn < kTurns; ++turn) {
    const int64_t rows = kRows - 7 * turn;
    const Bytes got = predict(fresh(), *file, data, rows, 0);
    wrong += !std::equal(got.begin(), got.end(), predicted.begin());
    wrong += fit(fresh(), *file, data, numbers, 0) != trained;
    calls += 2;
  }
  const auto regions = static_cast<long>(parallel_regions() - before);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atol(argv[2]));
  while (std::chrono::steady_clock::now() < end) {
    // Of each model the plans are made anew, by all threads at once.
    const std::shared_ptr<const Model> model = fresh();
    stop = false;
    std::vector<std::thread> threads;
    const auto start = [&](auto work) {
      threads.emplace_back([&, work] {
        for (int turn = 0; !stop; ++turn) {
          if (!work(turn)) ++wrong;
          ++calls;
        }
      });
    };
    for (int64_t i = 0; i < 3; ++i) {
      start([&, i](int turn) {
        const int64_t rows = (i * 31 + turn * 7) % kRows + 1;
        const Bytes got = predict(model, *file, data, rows);
        return std::equal(got.begin(), got.end(), predicted.begin());
      });
    }
    for (int i = 0; i < 2; ++i) {
      start([&](int) { return fit(model, *file, data, numbers) == trained; });
    }
    start([&](int) {
      ContextPool::free_idle();
      const auto other = ModelFile::open(path);
      return model->plan_count() >= 0 && ContextPool::idle_bytes() >= 0 &&
             predict(fresh(), *other, data, 3).size() > 0;
    });
    start([&](int) {
      save(file->content(), path + ".copy");
      return true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    stop = true;
    for (std::thread& thread : threads) thread.join();
  }
  std::printf("%ld calls, %ld wrong, %ld parallel regions\n", calls.load(), wrong.load(), regions);
  return wrong == 0 && calls > 0 ? 0 : 1;
}
