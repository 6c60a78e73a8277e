// Whether a step is one kernel, and how many blocks it has.
#include "cuda/whole.h"

#include <algorithm>
#include <cstdlib>

#include "cuda/shapes.h"
#include "kernels/trace/preamble.h"

namespace slim::cuda {
namespace {

// What a launch costs beyond its work is some two microseconds; where the work of a step is more
// than a few times that of all its launches, kernels of their own have more blocks to do it.
constexpr double kClusterFlops = 20e6;  // so little is done sooner by neighbours, which meet faster
constexpr int64_t kClusters[] = {16, 8};  // blocks: the first that fits; every GPU of 9.0 has 8
constexpr size_t kMostPointers = 500;     // of 4 KB
constexpr size_t kMostParts = 250;        // whose cycles are kept

// Whether a kernel only reads the facts: then a copy will do.
bool only_reads_facts(const std::string& body) {
  constexpr char kFacts[] = "a.facts";
  for (size_t at = body.find(kFacts); at != body.npos; at = body.find(kFacts, at + 1)) {
    if (body.compare(at + sizeof kFacts - 1, 2, "->") != 0) return false;
  }
  return true;
}

// The source of one kernel that runs all parts, one after the other, as often as it is told.
std::string text_of(const std::vector<WholePart>& parts,
                    const std::vector<const KernelText*>& texts, const Facts* facts,
                    const Grid& grid) {
  const auto number = [](auto value) { return std::to_string(value); };
  const bool timed = std::getenv("SLIM_CUDA_CLOCK") != nullptr;
  const std::string meet = "    slim::meet<" + number(grid.blocks) +
                           (grid.meet == Grid::Meet::cluster ? ", true" : ", false") +
                           ">(all.meeting);\n";
  std::string arguments =
      "struct WholeArgs {\n  long long steps;\n  slim::Meeting* meeting;\n"
      "  const slim::Facts* facts;\n  const slim::StepState* state;\n"
      "  const double* objective;\n";
  std::string loop;
  int64_t shift = 0;
  int meetings = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].waits) {
      loop += meet;
      shift = 0;
      // Behind `begin` they stay as they are: near, for all that only read them.
      if (++meetings == 2) loop += "    slim::whole_facts = *all.facts;\n";
    }
    if (timed) loop += "    SLIM_TIMED(" + number(i) + ");\n";
    arguments += "  " + arguments_of(*texts[i]) + " a" + number(i) + ";\n";
    loop += "    ";
    if (parts[i].if_it_counts) {
      loop += "if (slim::step_counts(all.facts, all.state, all.objective)) ";
    }
    const bool near = meetings > 1 && parts[i].facts == facts && only_reads_facts(texts[i]->body);
    loop += "{\n      auto a = all.a" + number(i) + ";\n";
    if (near) loop += "      a.facts = &slim::whole_facts;\n";
    loop += "      slim::run_part<" + number(grid.blocks) + ">(" + number(texts[i]->grid.blocks) +
            ", " + number(shift % grid.blocks) + ", [&] {\n" + body_of(*texts[i], i) +
            "      });\n    }\n";
    shift += texts[i]->grid.blocks;
  }
  std::string body = head_of(texts, {"steps", "whole"}) + '\n' + arguments + "};\n";
  body += "extern \"C\" __global__ void __launch_bounds__(" + number(grid.threads) +
          ", 1) whole(const WholeArgs all) {\n"
          "  for (long long step = 0; step < all.steps; ++step) {\n" +
          loop + meet + (timed ? "    SLIM_TIMED(" + number(parts.size()) + ");\n" : "") +
          "    if (all.state->refused) break;\n  }\n" +
          (timed ? "  slim::print_cycles(" + number(parts.size()) + ");\n" : "") + "}\n";
  return std::string(timed ? "#define SLIM_CLOCK\n" : "") +
         "#define SLIM_WHOLE 40960\n#define SLIM_FIRST slim::first_index()\n"
         "#define SLIM_STEP slim::index_step()\n" +
         preamble(body, Dialect::cuda) + body;
}

// Of so many blocks at most, the best first.
std::vector<Grid> grids(int64_t most, bool clusters) {
  if (most == 1) return {{1, kThreads}};
  std::vector<Grid> all;
  for (const int64_t cluster : kClusters) {
    if (!clusters || (!all.empty() && most <= cluster)) continue;
    all.push_back({std::min(most, cluster), kThreads, 0, Grid::Meet::cluster});
  }
  all.push_back({most, kThreads, 0, Grid::Meet::anywhere});
  return all;
}

}  // namespace

std::unique_ptr<WholeStep> WholeStep::make(Driver& driver, Stream& stream,
                                           const std::vector<WholePart>& parts, Facts* facts,
                                           const void* state, const void* objective) {
  const char* wish = std::getenv("SLIM_CUDA_WHOLE");  // for measurements: 0, or a number of blocks
  if (wish != nullptr && wish == std::string("0")) return nullptr;
  size_t pointers = 5;
  double flops = 0;
  int64_t most = 1;
  std::vector<const KernelText*> texts;
  for (const WholePart& part : parts) {
    if (part.text->grid.threads != kThreads || part.text->grid.shared != 0) return nullptr;
    pointers += 1 + std::max<size_t>(part.pointers.size(), 1);
    flops += part.text->cost.flops;
    most = std::max(most, part.text->grid.blocks);
    texts.push_back(part.text);
  }
  if (pointers > kMostPointers || parts.size() > kMostParts || flops > kMostWholeFlops)
    return nullptr;
  std::unique_ptr<WholeStep> step(new WholeStep(driver));
  const Properties& gpu = driver.properties();
  if (wish != nullptr) most = std::max<int64_t>(std::atoll(wish), 1);
  const bool clusters = flops < kClusterFlops && gpu.major >= 9;
  for (const Grid& grid : grids(std::min<int64_t>(most, gpu.together), clusters)) {
    step->grid_ = grid;
    step->module_ = driver.compile(text_of(parts, texts, facts, grid));
    step->kernel_ = step->module_->kernel("whole", grid);
    if (grid.meet == Grid::Meet::never || driver.fits(*step->kernel_, grid)) break;
    step->kernel_ = nullptr;
  }
  if (!step->kernel_) return nullptr;
  step->meeting_ = Piece<uint64_t>(driver, 1);
  driver.fill(stream, reinterpret_cast<std::byte*>(step->meeting_.data()), 0, sizeof(uint64_t));
  step->arguments_ = {nullptr, step->meeting_.data(), facts, state, objective};
  for (const WholePart& part : parts) {
    step->arguments_.push_back(part.facts);
    step->arguments_.insert(step->arguments_.end(), part.pointers.begin(), part.pointers.end());
    if (part.pointers.empty()) step->arguments_.push_back(nullptr);
  }
  return step;
}

void WholeStep::run(Stream& stream, int64_t steps) noexcept {
  static_assert(sizeof(int64_t) == sizeof(const void*));
  std::memcpy(arguments_.data(), &steps, sizeof steps);
  driver_.launch(stream, *kernel_, grid_, arguments_.data(), arguments_.size() * sizeof(void*));
}

}  // namespace slim::cuda
