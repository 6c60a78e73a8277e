// Reads what follows the network's numbers from untrusted JSON, and computes it.
#include "file/outputs.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "file/json.h"

namespace slim {
namespace {

using Step = Outputs::Step;

constexpr int64_t kMostNumbers = 1 << 24;  // of a row

// The first of the largest, or of those that are NaN, as NumPy has it.
int64_t largest(const double* values, int64_t count) {
  int64_t best = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (std::isnan(values[i])) return i;
    if (values[i] > values[best]) best = i;
  }
  return best;
}

}  // namespace

Outputs Outputs::read(const std::string& text) {
  Outputs made;
  JsonReader json(text);
  const auto numbers = [&](std::vector<double>& list) {
    json.array([&] { list.push_back(json.number()); });
  };
  const auto counts = [&](std::vector<int64_t>& list) {
    json.array([&] { list.push_back(json.whole()); });
  };
  json.object([&](const std::string& key) {
    if (key == "kind") {
      made.kind = json.string();
    } else if (key == "labels") {
      json.array([&] {
        auto& list = made.labels.emplace_back();
        json.array([&] { list.push_back(json.string()); });
      });
    } else if (key == "shape") {
      counts(made.shape);
    } else if (key == "scale") {
      numbers(made.scale);
    } else if (key == "center") {
      numbers(made.center);
    } else if (key == "place") {
      counts(made.place);
    } else if (key == "quantiles") {
      made.quantiles = json.whole();
    } else if (key == "middle") {
      made.middle = json.whole();
    } else {
      json.refuse("outputs have the unknown key " + key);
    }
  });
  json.end();
  const auto require = [&](bool fits, const char* what) {
    if (!fits) json.refuse(std::string("outputs ") + what);
  };
  const bool labelled = made.kind == "binary" || made.kind == "classes" || made.kind == "several";
  require(labelled || made.kind == "numbers" || made.kind == "positive", "are of an unknown kind");
  require(labelled != made.labels.empty(), "have labels where they are classes alone");
  int64_t most = 0;
  for (const auto& list : made.labels) {
    const auto count = static_cast<int64_t>(list.size());
    require(count > 0 && (made.kind == "classes" || count == 2), "have another number of labels");
    most += count;
  }
  require(made.kind != "binary" || made.labels.size() == 1, "of two classes have one output");
  require(made.shape.size() <= 1, "have a shape of more than one extent");
  const int64_t targets = made.shape.empty() ? 1 : made.shape[0];
  require(targets >= 1 && targets <= kMostNumbers && made.quantiles <= 1'000'000 &&
              targets * std::max<int64_t>(made.quantiles, 1) <= kMostNumbers &&
              most <= kMostNumbers,
          "are too many");
  if (made.kind == "numbers") {
    const auto count = static_cast<size_t>(targets);
    require(made.scale.size() == count && made.center.size() == count,
            "have another number of scales than of targets");
  } else {
    require(made.scale.empty() && made.center.empty() && made.quantiles == 0,
            "have scales that nothing reads");
  }
  require(made.place.size() == (made.quantiles > 1 ? static_cast<size_t>(made.quantiles) : 0),
          "have another number of places than of quantiles");
  std::vector<bool> seen(made.place.size());
  for (const int64_t place : made.place) {
    require(place < made.quantiles && !seen[static_cast<size_t>(place)],
            "have places that are no order");
    seen[static_cast<size_t>(place)] = true;
  }
  require(made.middle < std::max<int64_t>(made.quantiles, 1), "have no quantile in the middle");
  return made;
}

std::map<std::string, Outputs::Method> Outputs::methods(bool probabilities) const {
  if (!is_classifier()) {
    const Step step = kind == "positive" ? Step::positive : Step::numbers;
    std::map<std::string, Method> all = {{"predict", {"predict", step}}};
    if (quantiles > 0) all["predict_quantiles"] = {"predict", Step::quantiles};
    return all;
  }
  const Step step = kind == "binary"    ? Step::binary
                    : kind == "several" ? Step::several
                                        : Step::classes;
  std::map<std::string, Method> all = {{"predict", {"predict", step}}};
  if (kind != "classes" || labels.size() == 1) all["decision_function"] = {"predict", Step::none};
  if (probabilities) all["predict_proba"] = {"predict_proba", Step::none};
  return all;
}

int64_t Outputs::numbers() const {
  if (kind == "binary") return 1;
  if (kind == "several") return static_cast<int64_t>(labels.size());
  int64_t count = 0;
  for (const auto& list : labels) count += static_cast<int64_t>(list.size());
  if (count > 0) return count;
  return (shape.empty() ? 1 : shape[0]) * std::max<int64_t>(quantiles, 1);
}

std::vector<int64_t> Outputs::shape_of(Step step) const {
  if (step == Step::binary) return {};
  if (step == Step::classes || step == Step::several) {
    if (step == Step::classes && labels.size() == 1) return {};
    return {static_cast<int64_t>(labels.size())};
  }
  std::vector<int64_t> extents = shape;
  if (step == Step::quantiles) extents.push_back(quantiles);
  return extents;
}

void Outputs::apply(Step step, double* raw, int64_t rows, std::byte* to) const noexcept {
  auto* codes = reinterpret_cast<int64_t*>(to);
  auto* values = reinterpret_cast<double*>(to);
  const int64_t count = rows * numbers();
  switch (step) {
    case Step::none:
      return;
    case Step::binary:
    case Step::several:
      for (int64_t i = 0; i < count; ++i) codes[i] = raw[i] > 0;
      return;
    case Step::classes:
      for (int64_t row = 0; row < rows; ++row) {
        for (const auto& list : labels) {
          const auto own = static_cast<int64_t>(list.size());
          *codes++ = largest(raw, own);
          raw += own;
        }
      }
      return;
    case Step::positive:
      for (int64_t i = 0; i < count; ++i) values[i] = std::exp(raw[i]);
      return;
    case Step::numbers:
    case Step::quantiles:
      break;
  }
  const auto targets = static_cast<int64_t>(scale.size());
  const int64_t each = std::max<int64_t>(quantiles, 1);
  for (int64_t i = 0; i < rows * targets; ++i, raw += each) {
    const auto target = static_cast<size_t>(i % targets);
    if (each > 1) {  // where quantiles cross, they are put in order; NaN comes last
      std::sort(raw, raw + each,
                [](double a, double b) { return a < b || (std::isnan(b) && !std::isnan(a)); });
    }
    const int64_t first = step == Step::numbers ? middle : 0;
    const int64_t last = step == Step::numbers ? middle + 1 : each;
    for (int64_t k = first; k < last; ++k) {
      const int64_t from = each > 1 ? place[static_cast<size_t>(k)] : 0;
      *values++ = raw[from] * scale[target] + center[target];
    }
  }
}

}  // namespace slim
