// Ties the inputs of a plan to the sources of a call.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ir/specialise.h"
#include "runtime/data/source.h"
#include "runtime/plan/plan.h"

namespace slim {

// One gather an input. Throws std::invalid_argument for a source that is missing, has the
// wrong shape, or has fewer rows than `index` asks for.
std::vector<Gather> bind_sources(const Plan& plan, const std::vector<Source>& sources,
                                 const std::vector<uint32_t>& index);

// Sizes of the function's `open` symbols, from the shapes of the sources it reads.
// Throws std::invalid_argument for two sizes of one symbol, and for one that no shape tells.
Symbols bind_symbols(const Function& function, const std::set<std::string>& open,
                     const std::vector<Source>& sources);

// Throws std::invalid_argument where a row of the index (empty: any row) has more steps than its
// source gives a batch.
void check_lengths(const std::vector<Source>& sources, const std::vector<uint32_t>& index);

// Rows of the given sources that the function reads by row, or of all where it reads none;
// -1 if none is given. Throws where they differ.
int64_t common_rows(const Function& function, const std::vector<Source>& sources);

// Rows of a call without an index: those of the sources, else `batch` or one. Throws where the
// function has rows that nothing tells.
int64_t rows_of_call(const Function& function, const std::vector<Source>& sources, int64_t batch);

// 0, 1 … of the sources that training reads. Throws where none has rows.
std::vector<uint32_t> all_rows(const Function& function, const std::vector<Source>& sources);

// True where a value has rows, or computes with their number, and no input says how many.
bool lacks_rows(const Function& function);

}  // namespace slim
