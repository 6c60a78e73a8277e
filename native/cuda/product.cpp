// Tiles by what fills the GPU; slices and pieces by shapes other than the batch where results
// belong to its rows.
#include "cuda/product.h"

#include "cuda/elementwise.h"
#include "kernels/tape.h"

namespace slim::cuda {
namespace {

// Rows, columns, depth, and what a thread has of it.
struct TileSize {
  int64_t rows, columns, depth, high, wide;
  int64_t worth;  // blocks that there should be of it
};

constexpr TileSize kTiles[] = {{128, 128, 8, 8, 8, 120},
                               {64, 64, 16, 4, 4, 100},
                               {32, 32, 16, 4, 4, 48},
                               {16, 16, 16, 2, 2, 0}};
constexpr int64_t kDepth = 16;       // of the deepest tile: pieces are whole ones
constexpr int64_t kOnePiece = 64;    // so few terms are one chain
constexpr int64_t kLongest = 16384;  // so many terms are cut into slices anyway
constexpr int64_t kWanted = 264;     // blocks that fill a GPU
constexpr int64_t kWorth = 256;      // terms of a slice that are worth a block
constexpr int64_t kMostSlices = 128;

int64_t slices_of(const ProductShape& shape) {
  const int64_t k = shape.k.capacity, needed = std::max<int64_t>(ceil_div(k, kLongest), 1);
  if (shape.m.per_row > 0 || shape.batches.per_row > 0) return needed;
  const int64_t blocks =
      shape.batches.capacity * ceil_div(shape.m.capacity, 64) * ceil_div(shape.n, 64);
  const int64_t wanted = std::min(k / kWorth, kWanted / std::max<int64_t>(blocks, 1));
  return std::clamp(wanted, needed, std::max(needed, kMostSlices));
}

std::string number(int64_t value) { return std::to_string(value); }

// What the product is before its region, in some memory.
Buffer product_buffer(const Binding& binding, const ProductShape& shape) {
  Buffer whole = binding.results[0];
  whole.dtype = shape.dtype;
  return whole;
}

bool has_region(const Binding& binding) { return !binding.node.regions.empty(); }

int64_t elements(const ProductShape& shape) {
  return shape.batches.capacity * shape.m.capacity * shape.n;
}

}  // namespace

ProductCut::ProductCut(const Binding& binding, const ProductShape& shape) {
  const int64_t m = shape.m.capacity, n = shape.n, k = shape.k.capacity;
  for (const int64_t size : {m, n, k}) {
    if (size >= int64_t{1} << 30) binding.refuse("is a product too large for one CUDA kernel");
  }
  slices = slices_of(shape);
  const int64_t slice = ceil_div(ceil_div(k, slices), kDepth) * kDepth;
  const int64_t pieces = slice <= kOnePiece ? 1 : 4;
  const int64_t piece = ceil_div(ceil_div(slice, pieces), kDepth) * kDepth;
  const bool is_double = shape.dtype == DType::f64;
  TileSize tile{};
  int64_t blocks = 0;
  for (const TileSize& size : kTiles) {
    if (is_double && size.high > 4) continue;  // too many registers
    tile = size;
    blocks = shape.batches.capacity * slices * ceil_div(m, tile.rows) * ceil_div(n, tile.columns);
    if (blocks >= tile.worth) break;
  }
  // All of a block's threads: in groups by pieces, else with fewer elements each.
  if (pieces == 1) tile.high = tile.wide = tile.rows / 16;
  const int64_t threads = tile.rows / tile.high * (tile.columns / tile.wide);
  const int64_t groups = kThreads / threads;
  kind = '<' + cuda_type(shape.dtype) + ", slim::Tile<" +
         words({tile.rows, tile.columns, tile.depth, tile.high, tile.wide, groups}) + ">, " +
         number(pieces);
  const auto whole = [](const Count& count) { return "static_cast<int>(" + count.text() + ")"; };
  product = "slim::Product{" + shape.batches.text() + ", " + whole(shape.m) + ", " + number(n) +
            ", " + whole(shape.k) + ", " + number(ceil_div(m, tile.rows)) + ", " +
            number(ceil_div(n, tile.columns)) + ", " + number(piece) + ", " + number(slice) + ", " +
            number(slices) + "}";
  if (slices > 1) partial_bytes = slices * elements(shape) * size_of(shape.dtype);
  grid = {std::max<int64_t>(blocks, 1), static_cast<int>(threads * groups)};
  const auto count = static_cast<double>(elements(shape));
  cost = {2 * count * static_cast<double>(k), count * static_cast<double>(size_of(shape.dtype))};
}

std::vector<int64_t> product_workspace(const Binding& binding, const ProductShape& shape) {
  std::vector<int64_t> bytes;
  const ProductCut cut(binding, shape);
  if (cut.partial_bytes > 0) bytes.push_back(cut.partial_bytes);
  if (has_region(binding)) bytes.push_back(elements(shape) * size_of(shape.dtype));
  return bytes;
}

std::vector<KernelText> product_launches(
    const Binding& binding, const ProductShape& shape,
    const std::function<KernelText(const ProductCut&, const Buffer& result)>& multiply) {
  const ProductCut cut(binding, shape);
  Buffer whole = product_buffer(binding, shape);
  const auto in_workspace = [&](size_t i) {
    Buffer buffer = whole;
    buffer.base = binding.workspace[i].base;
    buffer.offset = binding.workspace[i].offset;
    return buffer;
  };
  if (has_region(binding)) whole = in_workspace(binding.workspace.size() - 1);
  std::vector<KernelText> texts;
  texts.push_back(multiply(cut, cut.slices > 1 ? in_workspace(0) : whole));
  texts.back().headers.push_back("gemm");
  texts.back().grid = cut.grid;
  texts.back().cost = cut.cost;
  if (cut.slices > 1) {
    KernelText sum;
    sum.headers = {"gemm"};
    Arguments arguments(sum);
    const std::string from = arguments.in(in_workspace(0)), to = arguments.out(whole);
    sum.body = "  " +
               call("slim::add_slices", {from, to, count_of(whole).text(), number(cut.slices)}) +
               ";\n";
    sum.grid = grid_over(elements(shape));
    sum.cost = {static_cast<double>(cut.slices * elements(shape)),
                static_cast<double>(cut.partial_bytes)};
    texts.push_back(std::move(sum));
  }
  if (has_region(binding)) {
    std::vector<Buffer> operands{whole};
    operands.insert(operands.end(), binding.operands.begin() + 2, binding.operands.end());
    texts.push_back(tape_text(binding, binding.node.regions[0], operands, binding.results));
  }
  return texts;
}

}  // namespace slim::cuda
