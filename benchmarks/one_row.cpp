// Nanoseconds of a model's first answer and of those that follow, by slim.h: one_row FILE ROUNDS
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <slim.hpp>
#include <vector>

namespace {

double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double, std::nano>(Clock::now().time_since_epoch()).count();
}

}  // namespace

int main(int count, char** words) try {
  if (count != 3) return 2;
  const double begin = now();
  const slim::Model model(words[1]);
  slim::Session session(model, "predict_proba");
  const std::vector<std::int64_t> shape = {1, model.input("predict_proba").shape[1]};
  const std::vector<float> row(static_cast<std::size_t>(shape[1]), 0.5f);
  const slim::Array x("X", row.data(), {1, shape[1]});
  session.run(x);
  std::printf("%.0f", now() - begin);
  // The best of many short rounds: what other processes take is not the library's.
  constexpr int kRuns = 1000;
  double best = 1e18;
  for (int round = 0; round < std::atoi(words[2]); ++round) {
    const double start = now();
    for (int i = 0; i < kRuns; ++i) session.run(x);
    best = std::min(best, (now() - start) / kRuns);
  }
  std::printf(" %.0f\n", best);
  return 0;
} catch (const slim::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
