// Which parameters training leaves alone.
#pragma once

#include <vector>

#include "runtime/plan/model.h"
#include "runtime/train/update.h"

namespace slim {

// What `grad` does not compute must not move, not even by a penalty.
void freeze_without_gradient(const Model& model, std::vector<Segment>& segments);

}  // namespace slim
