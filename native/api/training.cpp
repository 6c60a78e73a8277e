// Binds training: epochs of steps, and L-BFGS.
#include <pybind11/stl.h>

#include "api/api.h"
#include "api/arrays.h"
#include "api/constructor.h"
#include "api/lock.h"
#include "ir/verify.h"
#include "runtime/call/team.h"
#include "runtime/data/bind.h"
#include "runtime/train/lbfgs.h"
#include "runtime/train/trainer.h"

namespace slim {
namespace {

using ModelPointer = std::shared_ptr<const Model>;

std::vector<uint32_t> training_rows(const ModelPointer& model, const std::vector<Source>& sources,
                                    const py::object& index) {
  return index.is_none() ? all_rows(model->function("grad"), sources) : index_of(index);
}

// The native trainer and the arrays that it borrows, alive together.
class BoundTrainer {
 public:
  BoundTrainer(const ModelPointer& model, const py::dict& sources, const py::object& index,
               int64_t batch, const py::list& arenas, const py::list& segments,
               const py::dict& hypers, const py::list& scheduled, double clip_norm,
               double clip_value, bool shuffle, uint32_t seed, int threads, int64_t accumulate,
               std::shared_ptr<Exchange> exchange)
      : sources_(sources_of(sources)), arenas_(py::tuple(arenas)) {
    for (const Function& function : model->program().functions) {
      const std::string& name = function.name;
      if (name == "grad" || name == "measure" || is_update(name)) {
        require_hypers(*model, name, hypers);
      }
    }
    TrainerOptions options;
    options.shuffle = shuffle;
    options.steps = {
        batch, accumulate, seed, threads, {clip_value, clip_norm}, std::move(exchange)};
    columns_ = 1;
    const std::vector<Scheduled> targets = scheduled_of(scheduled);
    std::vector<Segment> parts = segments_of(segments);
    const auto count = [&](const std::vector<Scheduled>& some) {
      for (const Scheduled& one : some) {
        if (one.column < 0) throw py::value_error("a column of rates is 0 or more");
        columns_ = std::max(columns_, one.column + 1);
      }
    };
    count(targets);
    for (const Segment& segment : parts) count(segment.scheduled);
    const Arrays arrays = arrays_of(*model, arenas_[0], arenas_[1], arenas_[2], arenas_[3]);
    const std::vector<Source>& named = sources_.sources;
    trainer_ =
        std::make_unique<Trainer>(model, named, training_rows(model, named, index), options, arrays,
                                  std::move(parts), hypers_of(*model, hypers), targets);
  }

  // (results, error): of the epochs that ended, and of one that has no more steps in `rates`; and
  // what a signal's handler raised, or None.
  py::tuple run(uint64_t epoch, int64_t step, int64_t done, double loss_sum, double weight_sum,
                const py::array_t<double, py::array::c_style | py::array::forcecast>& rates,
                bool breaks) {
    if (rates.ndim() != 2 || rates.shape(1) != columns_) {
      throw py::value_error("rates must be [steps, " + std::to_string(columns_) + "]");
    }
    if (step < 0 || step >= trainer_->steps()) {
      throw py::value_error("an epoch has the steps 0 to " + std::to_string(trainer_->steps() - 1) +
                            ", not " + std::to_string(step));
    }
    const Start start{epoch, step, done, loss_sum, weight_sum};
    const Turn turn(busy_);
    Epochs ran;
    {
      const Unlocked unlocked;
      ran = trainer_->run(start, rates.shape(0), rates.data(), columns_, signal_came, breaks);
    }
    py::object error = py::none();
    // A signal that came late must not raise before the caller has heard of these epochs.
    if (ran.interrupted || signal_waits()) {
      const py::error_already_set raised;
      error = raised.value();
      if (raised.trace()) PyException_SetTraceback(error.ptr(), raised.trace().ptr());
    }
    return py::make_tuple(std::move(ran.results), error);
  }

  py::dict info() const {
    py::dict facts;
    facts["steps"] = trainer_->steps();
    facts["lanes"] = trainer_->lanes();
    facts["launches"] = trainer_->launches_per_step();
    facts["arena_bytes"] = trainer_->scratch_bytes();
    facts["allocations"] = Arena::allocations();
    facts["parallel_regions"] = parallel_regions();
    return facts;
  }

  bool busy() const { return busy_; }

  py::list profile(int64_t steps, double rate) {
    const Turn turn(busy_);
    std::vector<double> rates(static_cast<size_t>(columns_), 1.0);
    rates[0] = rate;
    return list_of(trainer_->profile(steps, rates));
  }

 private:
  // One call at a time: an epoch lets other threads, and signal handlers, run Python. Only
  // touched under the interpreter's lock.
  struct Turn {
    explicit Turn(bool& busy) : busy_(busy) {
      if (busy) throw std::runtime_error("this trainer is training already: wait for it to end");
      busy = true;
    }
    ~Turn() { busy_ = false; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool& busy_;
  };

  LentSources sources_;
  py::tuple arenas_;
  bool busy_ = false;
  int64_t columns_ = 1;  // of the rates
  std::unique_ptr<Trainer> trainer_;
};

// (byte offset of W, that of b or -1, outputs, centres, scales), or None.
Columns columns_of(const py::object& given, DType precision) {
  if (given.is_none()) return {};
  const auto parts = py::cast<py::tuple>(given);
  Columns columns;
  const int64_t biases = py::cast<int64_t>(parts[1]);
  columns.weights = py::cast<int64_t>(parts[0]) / size_of(precision);
  columns.biases = biases < 0 ? -1 : biases / size_of(precision);
  columns.outputs = py::cast<int64_t>(parts[2]);
  columns.centre = py::cast<std::vector<double>>(parts[3]);
  columns.scale = py::cast<std::vector<double>>(parts[4]);
  return columns;
}

py::dict lbfgs(const ModelPointer& model, const py::dict& sources, const py::object& index,
               const py::list& arenas, const py::list& segments, const py::dict& hypers,
               uint32_t seed, int threads, int64_t max_iterations, double gradient_tolerance,
               double loss_tolerance, int64_t history, const py::object& callback,
               const py::object& columns) {
  const py::tuple lent_arenas(arenas);
  const Arrays arrays =
      arrays_of(*model, lent_arenas[0], lent_arenas[1], lent_arenas[2], py::none());
  require_hypers(*model, "grad", hypers);
  const LentSources lent = sources_of(sources);
  const std::vector<Source>& named = lent.sources;
  Objective objective(model, named, training_rows(model, named, index), seed, threads, arrays,
                      segments_of(segments), hypers_of(*model, hypers),
                      columns_of(columns, model->layout().precision));
  LbfgsOptions options;
  options.max_iterations = max_iterations;
  options.gradient_tolerance = gradient_tolerance;
  options.loss_tolerance = loss_tolerance;
  options.history = history;
  bool signalled = false;
  std::exception_ptr failed;  // of the callback: it must not cross the minimiser
  LbfgsCallback after;
  if (!callback.is_none()) {
    after = [&](const LbfgsResult& now) {
      const Locked locked;
      return python([&] {
        try {
          const double mean = now.weight_sum > 0 ? now.loss_sum / now.weight_sum : 0.0;
          return py::cast<bool>(callback(now.iterations, now.objective, mean));
        } catch (const std::exception&) {
          failed = std::current_exception();
          return true;
        }
      });
    };
  }
  LbfgsResult result;
  {
    const Unlocked unlocked;
    result = minimize_lbfgs(objective, options, after,
                            [&] { return signalled = signalled || signal_came(); });
  }
  if (failed) std::rethrow_exception(failed);
  if (signalled) throw py::error_already_set();
  py::dict facts;
  facts["end"] = name_of(result.end);
  facts["iterations"] = result.iterations;
  facts["evaluations"] = result.evaluations;
  facts["objective"] = result.objective;
  facts["loss_sum"] = result.loss_sum;
  facts["weight_sum"] = result.weight_sum;
  facts["gradient_max"] = result.gradient_max;
  facts["status"] = result.status;
  return facts;
}

}  // namespace

void bind_training(py::module_& module) {
  py::class_<EpochResult>(module, "EpochResult")
      .def_readonly("loss_sum", &EpochResult::loss_sum)
      .def_readonly("weight_sum", &EpochResult::weight_sum)
      .def_readonly("steps", &EpochResult::steps)
      .def_readonly("ended", &EpochResult::ended)
      .def_readonly("status", &EpochResult::status)
      .def_readonly("finite", &EpochResult::finite)
      .def_readonly("bad_rows", &EpochResult::bad_rows);
  py::class_<Exchange, std::shared_ptr<Exchange>>(module, "Exchange")
      .def_property_readonly("rank", &Exchange::rank)
      .def_property_readonly("ranks", &Exchange::ranks);
  module.def("thread_ranks", &ThreadExchange::make);
  py::class_<BoundTrainer> trainer(module, "Trainer");
  def_constructor<const ModelPointer&, const py::dict&, const py::object&, int64_t, const py::list&,
                  const py::list&, const py::dict&, const py::list&, double, double, bool, uint32_t,
                  int, int64_t, std::shared_ptr<Exchange>>(trainer);
  trainer.def("run", &BoundTrainer::run)
      .def_property_readonly("busy", &BoundTrainer::busy)
      .def("info", &BoundTrainer::info)
      .def("profile", &BoundTrainer::profile);
  module.def("lbfgs", &lbfgs);
}

}  // namespace slim
