// Large convolutions by a library.
#pragma once

#include "cuda/library.h"

namespace slim::cuda {

// Null where the library does not do it.
std::unique_ptr<ByLibrary> convolution_of(Convolutions& convolutions, const LibraryTask& task);

}  // namespace slim::cuda
