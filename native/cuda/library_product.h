// Large products by a library.
#pragma once

#include "cuda/library.h"

namespace slim::cuda {

// Null where the library does not do it.
std::unique_ptr<ByLibrary> product_of(Products& products, const LibraryTask& task);

}  // namespace slim::cuda
