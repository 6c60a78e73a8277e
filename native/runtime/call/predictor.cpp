// The short road of predict.
#include "runtime/call/predictor.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/call/forward.h"
#include "runtime/train/guard.h"

namespace slim {
namespace {

Source contiguous(SourceType type, const std::byte* data, int64_t rows, int64_t columns) {
  const int64_t size = type == SourceType::f32 ? 4 : 8;
  return {"X", type, data, {rows, columns}, {columns * size, size}, {}};
}

}  // namespace

Predictor::Predictor(std::shared_ptr<const Model> model, const std::string& function, Arrays arrays,
                     Hypers hypers, int threads)
    : model_(std::move(model)),
      function_(function),
      arrays_(arrays),
      hypers_(std::move(hypers)),
      threads_(threads) {
  const std::vector<Rows>& rows = model_->rows(function);
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument("function " + function + " has no short road: " + why);
  };
  if (rows.size() != 1 || rows[0] != Rows::local || !model_->chunkable(function)) {
    refuse("it must return one array, row by row");
  }
  const auto many = model_->plan(function, model_->chunk_rows(function));
  if (many->exact()) refuse("its shapes mix rows");
  const auto& inputs = many->inputs();
  if (inputs.size() != 1 || inputs[0].source != "X" || !inputs[0].by_row ||
      inputs[0].buffer.dims.size() != 2 || !inputs[0].columns.empty() ||
      inputs[0].buffer.storage != Storage::dense) {
    refuse("it must read X alone, as [rows, columns]");
  }
  columns_ = inputs[0].buffer.dims[1];
  reads_ = inputs[0].buffer.dtype;
  arrays_.hyper = hypers_.data();
  const auto bind = [&](std::shared_ptr<const Plan> plan) {
    std::vector<Gather> gathers;
    for (const SourceType type : {SourceType::f32, SourceType::f64}) {
      gathers.emplace_back(plan->inputs()[0],
                           contiguous(type, nullptr, plan->capacity(), columns_));
    }
    return BoundPlan(std::move(plan), std::move(gathers), arrays_);
  };
  one_.emplace(bind(model_->plan(function, 1)));
  many_.emplace(bind(many));
  const Buffer& result = one_->plan().returns()[0];
  dtype_ = result.dtype;
  row_shape_.assign(result.dims.begin() + 1, result.dims.end());
  row_bytes_ = result.count(1) * size_of(dtype_);
  if (result.dims[0] != 1) refuse("it returns several rows for one");
}

bool Predictor::run(const std::byte* x, SourceType type, int64_t rows, std::byte* result,
                    const Interrupt& interrupt) const {
  const DType dtype = type == SourceType::f32 ? DType::f32 : DType::f64;
  const bool narrows = dtype == DType::f64 && reads_ == DType::f32;
  if (!(narrows ? fits_f32(x, rows * columns_) : all_finite(x, rows * columns_, dtype))) {
    return false;
  }
  if (rows == 0) return true;
  if (rows > many_->plan().capacity()) {
    return run_long(contiguous(type, x, rows, columns_), rows, result, interrupt);
  }
  const BoundPlan& bound = rows == 1 ? *one_ : *many_;
  const Plan::Lease call = bound.lease(1);
  Context& context = call->context;
  context.rows = rows;
  run_lanes(1, [&](const Lane& lane) {
    bound.gathers()[type == SourceType::f32 ? 0 : 1].run_from(x, context, 0, rows);
    run_plan(bound.plan(), *call, lane);
  });
  std::memcpy(result, bound.plan().returns()[0].in<std::byte>(context),
              static_cast<size_t>(rows * row_bytes_));
  return context.status.load(std::memory_order_relaxed) == 0;
}

bool Predictor::run_long(const Source& source, int64_t rows, std::byte* result,
                         const Interrupt& interrupt) const {
  ForwardOptions options;
  options.rows = rows;
  options.threads = threads_;
  Forward forward(model_, function_, {source}, {}, options, arrays_, hypers_.copy());
  forward.returns()[0].data = result;
  return forward.run(interrupt) == 0;
}

}  // namespace slim
