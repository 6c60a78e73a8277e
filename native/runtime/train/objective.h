// The full-batch objective and its gradient: fixed chunks of rows, sums in float64.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/call/interrupt.h"
#include "runtime/plan/model.h"
#include "runtime/train/columns.h"
#include "runtime/train/spans.h"
#include "runtime/train/update.h"

namespace slim {

// Over the free coordinates: parameters of segments that are not frozen, in their order, those of
// a layer whose columns are known in their units.
class Objective {
 public:
  // Throws std::invalid_argument for what a full-batch method cannot minimise.
  Objective(std::shared_ptr<const Model> model, const std::vector<Source>& sources,
            std::vector<uint32_t> index, uint32_t seed, int threads, Arrays arrays,
            std::vector<Segment> segments, Hypers hypers, Columns columns = {});

  size_t size() const { return static_cast<size_t>(size_); }
  void read_weights(std::vector<double>& x) const;
  void write_weights(const std::vector<double>& x);
  // At x, which it writes into the parameter arena; returns the value, which says nothing
  // once the watch has stopped.
  double evaluate(const std::vector<double>& x, std::vector<double>& gradient, Watch& watch);

  double loss_sum() const { return loss_sum_; }  // Σ w·l of the last evaluation
  double weight_sum() const { return weight_sum_; }
  uint32_t status() const { return status_; }

 private:
  Arrays with_hypers();
  // Where the coordinates of the parameter at an offset begin in x; null where it is not free.
  double* at(std::vector<double>& x, int64_t offset) const;
  void run_chunk(int64_t chunk, std::vector<double>& gradient, Watch& watch);

  std::shared_ptr<const Model> model_;
  std::vector<uint32_t> index_;
  Arrays arrays_;
  std::vector<Segment> segments_;  // free ones, by offset
  Hypers hypers_;
  Columns columns_;
  std::vector<double> weights_;  // of the last evaluation
  DeviceArrays there_;
  DType precision_;
  int64_t size_ = 0;
  BatchRule rule_;
  std::unique_ptr<Spans> chunks_;
  double value_ = 0;
  double loss_sum_ = 0;
  double weight_sum_ = 0;
  uint32_t status_ = 0;
};

}  // namespace slim
