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

// The first that is filled well and often enough.
constexpr TileSize kTiles[] = {{128, 128, 8, 8, 8, 120}, {128, 64, 8, 8, 4, 120},
                               {64, 64, 16, 4, 4, 100},  {128, 32, 16, 4, 4, 120},
                               {128, 16, 16, 4, 2, 120}, {32, 32, 16, 4, 4, 48},
                               {16, 16, 16, 2, 2, 0}};
constexpr int64_t kSmall = 16;       // so many rows or columns are always filled well
constexpr int64_t kDepth = 16;       // pieces are whole ones of these
constexpr int64_t kOnePiece = 64;    // so few terms are one chain
constexpr int64_t kLongest = 16384;  // so many terms are cut into slices anyway
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

int64_t elements(const ProductShape& shape) {
  return shape.batches.capacity * shape.m.capacity * shape.n;
}

}  // namespace

std::string store_text(const Binding& binding, DType dtype, KernelText& text) {
  Arguments arguments(text);
  const std::string head = "[&](long long at, " + c_type(dtype) + " x) { ";
  if (binding.node.regions.empty()) {
    return head + arguments.out(binding.results[0]) + "[at] = x; }";
  }
  const std::vector<Buffer> operands = epilogue_operands(binding);
  std::vector<std::string> given{"a.facts->rows", "at", "x"};
  for (size_t i = 1; i < operands.size(); ++i) given.push_back(arguments.in(operands[i]));
  for (const Buffer& buffer : binding.results) given.push_back(arguments.out(buffer));
  return head + call(add_element(binding, operands, text), given) + "; }";
}

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
    if (size.rows > kSmall && 2 * m <= size.rows) continue;
    if (size.columns > kSmall && 2 * n <= size.columns) continue;
    tile = size;
    blocks = shape.batches.capacity * slices * ceil_div(m, tile.rows) * ceil_div(n, tile.columns);
    if (blocks >= tile.worth) break;
  }
  // All of a block's threads: in groups by pieces, else with fewer elements each.
  if (pieces == 1 && tile.rows == tile.columns) tile.high = tile.wide = tile.rows / 16;
  // Small ones wait for memory more than they compute: they ask for much at once.
  if (tile.rows == 16) tile.depth = pieces == 1 ? 64 : 32;
  if (tile.rows == 32 && pieces == 1) tile.depth = 32;
  const int64_t threads = tile.rows / tile.high * (tile.columns / tile.wide);
  const int64_t groups = kThreads / threads;
  kind = '<' + c_type(shape.dtype) + ", slim::Tile<" +
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
  const ProductCut cut(binding, shape);
  return cut.slices > 1 ? std::vector<int64_t>{cut.partial_bytes} : std::vector<int64_t>();
}

KernelText sum_of_slices(const Binding& binding, int64_t elements, const Buffer& parts,
                         int64_t slices) {
  KernelText sum;
  sum.headers = {"gemm"};
  const std::string from = Arguments(sum).in(parts);
  sum.body = "  " +
             call("slim::add_slices", {from, count_of(binding.results[0]).text(), number(slices),
                                       store_text(binding, parts.dtype, sum)}) +
             ";\n";
  sum.grid = grid_over(elements);
  sum.cost = {static_cast<double>(slices * elements),
              static_cast<double>(slices * elements * size_of(parts.dtype))};
  return sum;
}

std::vector<KernelText> product_launches(const Binding& binding, const ProductShape& shape,
                                         const Multiply& multiply) {
  if (elements(shape) == 0) return {};
  const ProductCut cut(binding, shape);
  KernelText product;
  product.headers = {"gemm"};
  product.grid = cut.grid;
  product.cost = cut.cost;
  Arguments arguments(product);
  if (cut.slices == 1) {
    product.body =
        "  " + multiply(cut, arguments, store_text(binding, shape.dtype, product)) + ";\n";
    return {product};
  }
  Buffer parts = binding.workspace[0];
  parts.dtype = shape.dtype;
  const std::string store =
      "[&](long long at, " + c_type(shape.dtype) + " x) { " + arguments.out(parts) + "[at] = x; }";
  product.body = "  " + multiply(cut, arguments, store) + ";\n";
  return {product, sum_of_slices(binding, elements(shape), parts, cut.slices)};
}

}  // namespace slim::cuda
