// The short road of several predictors that read columns of the same rows.
#include "runtime/call/predictor_group.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>

#include "runtime/call/team.h"

namespace slim {
namespace {

int64_t product(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  return count;
}

}  // namespace

PredictorGroup::PredictorGroup(std::vector<Member> members, int threads)
    : members_(std::move(members)), threads_(threads) {
  if (members_.empty()) throw std::invalid_argument("a group needs a predictor or more");
  for (const Member& member : members_) {
    const Predictor& predictor = *member.predictor;
    elsewhere_ = elsewhere_ || predictor.elsewhere();
    if (member.columns.size() != predictor.sources()) {
      throw std::invalid_argument("a member of a group reads " +
                                  std::to_string(predictor.sources()) + " sources, it is given " +
                                  std::to_string(member.columns.size()));
    }
    for (size_t i = 0; i < member.columns.size(); ++i) {
      const std::vector<int64_t>* row = predictor.row_shape(i);
      const auto given = static_cast<int64_t>(member.columns[i].size());
      if (row != nullptr && product(*row) != given) {
        throw std::invalid_argument("source " + std::to_string(i) + " of a member has " +
                                    std::to_string(product(*row)) + " numbers, it is given " +
                                    std::to_string(given) + " columns");
      }
      for (const int64_t column : member.columns[i]) {
        if (column < 0) throw std::invalid_argument("columns of a group count from 0");
        width_ = std::max(width_, column + 1);
      }
    }
    if (predictor.dtype() != dtype() || predictor.row_shape() != row_shape()) {
      throw std::invalid_argument("members of a group return arrays of one type and shape");
    }
  }
  row_bytes_ = product(row_shape()) * size_of(dtype());
}

bool PredictorGroup::run(const float* rows, int64_t count, int64_t columns,
                         std::byte* result) const {
  const auto total = static_cast<int64_t>(members_.size());
  const LaneGrant grant(std::min(allowed_lanes(threads_), static_cast<int>(total)));
  std::atomic<bool> finite{true};
  std::exception_ptr failure;
  std::mutex failing;
  run_lanes(grant.lanes(), [&](const Lane& lane) {
    try {
      for (int64_t i = lane.begin(total); i < lane.end(total) && finite; ++i) {
        std::byte* own = result + i * count * row_bytes_;
        if (!run_member(members_[static_cast<size_t>(i)], rows, count, columns, own)) {
          finite = false;
        }
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failing);
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
  return finite;
}

bool PredictorGroup::run_member(const Member& member, const float* rows, int64_t count,
                                int64_t columns, std::byte* result) const {
  Predictor::Given given[Predictor::kMostSources];
  size_t numbers = 0;
  for (const auto& own : member.columns) numbers += own.size();
  std::vector<float> copy(numbers * static_cast<size_t>(count));
  float* to = copy.data();
  for (size_t source = 0; source < member.columns.size(); ++source) {
    given[source] = {reinterpret_cast<const std::byte*>(to), SourceType::f32};
    for (int64_t row = 0; row < count; ++row) {
      for (const int64_t column : member.columns[source]) *to++ = rows[row * columns + column];
    }
  }
  return member.predictor->run(given, count, result, {});
}

}  // namespace slim
