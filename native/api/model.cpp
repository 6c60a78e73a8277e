// Binds Model: compile, run and facts.
#include <pybind11/stl.h>

#include <algorithm>

#include "api/api.h"
#include "api/arrays.h"
#include "api/constructor.h"
#include "api/lock.h"
#include "ir/verify.h"
#include "runtime/call/forward.h"
#include "runtime/data/bind.h"

namespace slim {
namespace {

using ModelPointer = std::shared_ptr<const Model>;

std::shared_ptr<Forward> forward_of(const ModelPointer& model, const std::string& function,
                                    const std::vector<Source>& sources, const py::object& index,
                                    const Arrays& arrays, const py::dict& hypers,
                                    ForwardOptions options, std::shared_ptr<PackedArrays> packed) {
  require_hypers(*model, function, hypers);
  std::vector<uint32_t> rows = index_of(index);
  options.rows = index.is_none() ? rows_of_call(model->function(function), sources, options.chunk)
                                 : static_cast<int64_t>(rows.size());
  return std::make_shared<Forward>(model, function, sources, std::move(rows), options, arrays,
                                   hypers_of(*model, hypers), std::move(packed));
}

bool writes(const Function& function) { return !function.sets.empty() || !function.grads.empty(); }

// Where a result is to lie: in the host's memory or, by `room(shape, type)`, on the device. That
// gives what is returned, and a pointer.
py::object place(Returned& returned, const Model& model, const py::object& room) {
  if (room.is_none() || returned.use == Rows::sum || returned.shape.empty() ||
      returned.shape[0] == 0) {
    py::array array = make_array(returned.dtype, returned.shape);
    returned.data = static_cast<std::byte*>(array.mutable_data());
    return array;
  }
  const py::dtype type = make_array(returned.dtype, {0}).dtype();
  const py::tuple made = room(py::tuple(py::cast(returned.shape)), type);
  returned.data = reinterpret_cast<std::byte*>(py::cast<uintptr_t>(made[1]));
  returned.on_device = true;
  if (!model.device().holds(returned.data)) {
    throw py::value_error("room for a result is not on " + model.device().name());
  }
  return made[0];
}

// (results, status): the caller can say which op met ids or labels out of range.
py::tuple run(const ModelPointer& model, const std::string& function, const py::dict& sources,
              const py::object& index, const py::object& params, const py::object& state,
              const py::object& gradient, const py::dict& hypers, uint32_t seed, int64_t step,
              int threads, int64_t batch, std::shared_ptr<PackedArrays> packed,
              const py::object& room) {
  ForwardOptions options;
  options.chunk = batch;
  options.seed = seed;
  options.step = step;
  options.threads = threads;
  const Function& body = model->function(function);
  const Arrays arrays = arrays_of(*model, params, state, gradient, py::none(), writes(body));
  for (const Assignment& grad : body.grads) {
    if (is_dense(body.graph.values[static_cast<size_t>(grad.value)].type)) continue;
    throw py::value_error("[grad " + model->program().declarations[grad.declaration].name +
                          "] is kept as rows, which only training reads: build the program "
                          "without rows");
  }
  if (!body.grads.empty() && gradient.is_none()) {
    throw py::value_error("function " + function + " writes gradients: lend an arena for them");
  }
  const LentSources lent = sources_of(sources);
  const auto forward =
      forward_of(model, function, lent.sources, index, arrays, hypers, options, std::move(packed));
  py::list results;
  for (Returned& returned : forward->returns()) results.append(place(returned, *model, room));
  uint32_t status = 0;
  try {
    const Unlocked unlocked;
    status = forward->run(signal_came);
  } catch (const Interrupted&) {
    throw py::error_already_set();
  }
  return py::make_tuple(py::tuple(results), status);
}

py::list profile(const ModelPointer& model, const std::string& function, const py::dict& sources,
                 const py::object& params, const py::object& state, const py::object& gradient,
                 const py::dict& hypers, int64_t batch, int64_t rounds,
                 std::shared_ptr<PackedArrays> packed) {
  ForwardOptions options;
  options.chunk = batch;
  const Arrays arrays =
      arrays_of(*model, params, state, gradient, py::none(), writes(model->function(function)));
  const LentSources lent = sources_of(sources);
  return list_of(forward_of(model, function, lent.sources, py::none(), arrays, hypers, options,
                            std::move(packed))
                     ->profile(rounds));
}

std::shared_ptr<const Plan> plan_of(const ModelPointer& model, const std::string& function,
                                    int64_t rows, const Symbols& symbols) {
  for (int64_t i = 0; i < model->updates(); ++i) {
    if (function == update_name(i)) return model->update_plan(rows, false, i);
  }
  return model->plan(function, rows, symbols);
}

// Of both branches, where there are some, and of one step of a loop.
void list_launches(const Plan::Sequence& sequence, int64_t rows, py::list& names) {
  for (const Plan::Step& step : sequence.steps) {
    if (step.branch) {
      list_launches(step.branch->then, rows, names);
      list_launches(step.branch->otherwise, rows, names);
    } else if (step.loop) {
      list_launches(step.loop->condition, rows, names);
      list_launches(step.loop->body, rows, names);
    } else if (step.visit) {
      list_launches(step.visit->plan->sequence(), rows, names);
    } else {
      names.append(py::make_tuple(step.launch->name, step.launch->op, step.launch->tasks(rows)));
    }
  }
}

// Loops whose lanes need not meet between steps.
int64_t count_row_loops(const Plan::Sequence& sequence) {
  int64_t count = 0;
  for (const Plan::Step& step : sequence.steps) count += step.loop && step.loop->by_rows;
  return count;
}

py::dict info(const ModelPointer& model, const std::string& function, int64_t rows,
              const Symbols& symbols) {
  const auto plan = plan_of(model, function, rows, symbols);
  py::dict facts;
  facts["launches"] = plan->launches();
  facts["gathers"] = plan->inputs().size();
  facts["moves"] = plan->moves().size();
  facts["arena_bytes"] = plan->scratch_bytes();
  facts["local_bytes"] = plan->local_bytes();
  facts["exact"] = plan->exact();
  facts["row_loops"] = count_row_loops(plan->sequence());
  py::list names;
  list_launches(plan->sequence(), rows, names);
  facts["steps"] = names;
  return facts;
}

// Numbers in a row of a function's first result, where they are known before there are rows.
int64_t row_size(const Model& model, const std::string& function) {
  const Function& found = model.function(function);
  int64_t numbers = 1;
  if (found.graph.returns.empty()) return numbers;
  const std::vector<Dim>& dims =
      found.graph.values[static_cast<size_t>(found.graph.returns[0])].type.dims;
  for (size_t i = 1; i < dims.size(); ++i) numbers *= dims[i].constant().value_or(1);
  return numbers;
}

}  // namespace

py::list list_of(const Profile& profile) {
  py::list launches;
  for (const LaunchProfile& launch : profile.launches()) {
    py::dict record;
    record["name"] = launch.name;
    record["op"] = launch.op;
    record["seconds"] = launch.seconds / static_cast<double>(launch.calls);
    record["calls"] = launch.calls;
    record["least"] = launch.least;
    record["flops"] = launch.flops;
    record["bytes"] = launch.bytes;
    launches.append(record);
  }
  return launches;
}

void bind_model(py::module_& module) {
  py::class_<Model, std::shared_ptr<Model>> model(module, "Model");
  def_constructor<std::string_view, const std::string&, bool>(
      model, py::arg("text"), py::arg("device"), py::arg("lenient") = false);
  model.def_property_readonly("isa", [](const Model& m) { return m.device().level(); })
      .def_property_readonly("device", [](const Model& m) { return m.device().name(); })
      .def_property_readonly("devices",
                             [](const Model& m) {
                               std::vector<std::string> names{m.device().name()};
                               for (const auto& [text, name] : m.placing().where()) {
                                 const bool known =
                                     std::find(names.begin(), names.end(), name) != names.end();
                                 if (!name.empty() && !known) names.push_back(name);
                               }
                               return names;
                             })
      .def_property_readonly("missing", [](const Model& m) { return m.placing().missing; })
      .def_property_readonly("plan_hits", &Model::plan_hits)
      .def_property_readonly("plan_misses", &Model::plan_misses)
      .def_property_readonly("plan_count", &Model::plan_count)
      .def_property_readonly("param_bytes", [](const Model& m) { return m.layout().param_bytes; })
      .def_property_readonly("state_bytes", [](const Model& m) { return m.layout().state_bytes; })
      .def_property_readonly("slot_bytes", [](const Model& m) { return m.layout().slot_bytes; })
      .def_property_readonly(
          "parameters",
          [](const Model& m) {
            py::list list;
            for (size_t i = 0; i < m.layout().places.size(); ++i) {
              const Layout::Place& place = m.layout().places[i];
              if (place.base != Base::param) continue;
              const int64_t size = size_of(place.dtype);
              list.append(py::make_tuple(m.program().declarations[i].name, place.offset / size,
                                         place.bytes / size));
            }
            return list;
          })
      .def("has", &Model::has)
      .def("hypers",
           [](const Model& m) {
             std::vector<std::string> names;
             for (const Declaration& d : m.program().declarations) {
               if (d.kind == DeclarationKind::hyper) names.push_back(d.name);
             }
             return names;
           })
      .def("chunkable", [](const Model& m, const std::string& f) { return m.chunkable(f); })
      .def("row_size", &row_size)
      .def("adds_up",  // which returns of a function are sums over rows
           [](const Model& m, const std::string& f) {
             std::vector<bool> sums;
             for (const Rows use : m.rows(f)) sums.push_back(use == Rows::sum);
             return sums;
           })
      .def("chunk_rows", [](const Model& m, const std::string& f) { return m.chunk_rows(f); })
      .def("info", &info)
      .def("dump",
           [](const ModelPointer& m, const std::string& function, int64_t rows,
              const Symbols& symbols) { return m->text(*plan_of(m, function, rows, symbols)); })
      .def("run", &run)
      .def("profile", &profile);
  py::class_<PackedArrays, std::shared_ptr<PackedArrays>> packed(module, "PackedArrays");
  def_constructor(packed);
}

}  // namespace slim
