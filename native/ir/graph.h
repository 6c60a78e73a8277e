// The program in memory: types, values, nodes, graphs. Knows no kernel and no device.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ir/dim.h"

namespace slim {

// Numbers of sixteen bits no text has: a compiled function keeps in them what only products read.
enum class DType : uint8_t { f32, f64, i32, i64, b8, u8, bf16, f16 };
inline constexpr size_t kDTypes = 8;

int64_t size_of(DType dtype);
const char* name_of(DType dtype);  // f32 f64 i32 i64 bool u8; bf16 f16, of a dump

// How the elements of a value lie in memory.
enum class Storage : uint8_t {
  dense,  // all, row-major
  csr,    // of each row the stored ones, by rising column
  rows,   // some rows, all elements of each; the other rows are zero
};

const char* name_of(Storage storage);  // the word in the text; empty for dense

struct Type {
  DType dtype = DType::f32;
  std::vector<Dim> dims;
  Storage storage = Storage::dense;

  bool operator==(const Type&) const = default;
};

inline bool is_dense(const Type& type) { return type.storage == Storage::dense; }
std::string to_string(const Type& type);

using Attribute =
    std::variant<int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>>;

// Attributes by name, sorted: one spelling per node. Immutable and shared by copies, which so
// neither allocate nor can fail.
class Attributes {
 public:
  using Map = std::map<std::string, Attribute>;

  Attributes() = default;
  Attributes(Map map);  // NOLINT(google-explicit-constructor): a list of them in braces too
  Attributes(std::initializer_list<Map::value_type> list) : Attributes(Map(list)) {}

  // A copy in which `key` has this value.
  Attributes with(const std::string& key, Attribute value) const;

  const Attribute& at(const std::string& key) const { return map().at(key); }
  Map::const_iterator find(const std::string& key) const { return map().find(key); }
  size_t count(const std::string& key) const { return map().count(key); }
  Map::const_iterator begin() const { return map().begin(); }
  Map::const_iterator end() const { return map().end(); }
  size_t size() const { return map().size(); }
  bool empty() const { return map_ == nullptr; }
  bool operator==(const Attributes& other) const { return map() == other.map(); }

 private:
  const Map& map() const;

  std::shared_ptr<const Map> map_;  // null where there are none
};

using ValueId = int32_t;

struct Value {
  std::string name;  // without the leading %
  Type type;
  std::string device = {};  // where it is computed; empty: where the program runs
};

struct Graph;

struct Node {
  std::string op;
  std::vector<ValueId> operands;
  std::vector<ValueId> results;
  Attributes attributes;
  std::vector<Graph> regions;  // isolated: each sees its parameters only
};

// A region or the body of a function. `nodes` stand in an order that computes.
struct Graph {
  std::vector<Value> values;
  std::vector<ValueId> parameters;  // a region's operands, in order; empty in a function
  std::vector<Node> nodes;
  std::vector<ValueId> returns;  // `return` of a function, `yield` of a region

  ValueId add_value(std::string name, Type type);
};

enum class DeclarationKind : uint8_t { param, state, hyper, slot };

struct Declaration {
  DeclarationKind kind;
  std::string name;
  Type type;
  Attributes factors;  // of a param: decay_factor, learning_rate_factor, where they are told
};

// `set` and `grad` act at the function's end; every read sees the old value.
struct Assignment {
  int32_t declaration;  // index into Program::declarations
  ValueId value;
};

// The first declarations.size() values of a function's graph are the declarations, in order.
struct Function {
  std::string name;
  Graph graph;
  std::vector<Assignment> sets;
  std::vector<Assignment> grads;
};

// What the operands of products are rounded to before they are multiplied.
enum class Compute : uint8_t { full, bfloat16, float16 };

const char* name_of(Compute compute);  // the word in the text; empty for full

struct Program {
  Compute compute = Compute::full;
  std::vector<Declaration> declarations;
  std::vector<Function> functions;

  const Function* find(const std::string& name) const;
};

}  // namespace slim
