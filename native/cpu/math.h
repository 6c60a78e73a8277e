// The elementary functions for the vectors of this level.
#pragma once

#include "cpu/vec.h"
// After the vectors that they are written in.
#include "kernels/formulas/math.h"
