// Kernels from regions of elementwise ops.
#pragma once

#include <string>
#include <vector>

#include "cuda/launch.h"

namespace slim::cuda {

// Adds a function to the text of a kernel: the node's region for one element of a product, which is
// the first of these operands (SourceFile::Entry::element). Its name.
std::string add_element(const Binding& binding, const std::vector<Buffer>& operands,
                        KernelText& text);

}  // namespace slim::cuda
