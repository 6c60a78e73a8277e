// A context of one lane, which moves through the steps of a loop by itself.
#pragma once

#include <algorithm>
#include <iterator>

#include "runtime/plan/context_pool.h"

namespace slim {

// What its launches raise is the call's.
class OwnContext {
 public:
  explicit OwnContext(const CallContext& call) : call_(call) {
    const Context& context = call.context;
    std::copy(std::begin(context.base), std::end(context.base), std::begin(own_.base));
    own_.sparse = context.sparse;
    own_.rows = context.rows;
    own_.first_row = context.first_row;
    own_.step = context.step;
    own_.seed = context.seed;
  }
  ~OwnContext() {
    if (const uint32_t raised = own_.status) call_.context.raise(raised);
  }
  OwnContext(const OwnContext&) = delete;
  OwnContext& operator=(const OwnContext&) = delete;

  Context& operator*() { return own_; }

 private:
  const CallContext& call_;
  Context own_;
};

}  // namespace slim
