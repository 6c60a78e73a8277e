// Binds training: epochs of steps, and L-BFGS.
#include <pybind11/stl.h>

#include <numeric>

#include "api/api.h"
#include "api/arrays.h"
#include "runtime/call/team.h"
#include "runtime/data/bind.h"
#include "runtime/train/lbfgs.h"
#include "runtime/train/trainer.h"

namespace slim {
namespace {

using ModelPointer = std::shared_ptr<const Model>;

std::vector<uint32_t> training_rows(const ModelPointer& model, const std::vector<Source>& sources,
                                    const py::object& index) {
  if (!index.is_none()) return index_of(index);
  const int64_t rows = common_rows(model->function("grad"), sources);
  if (rows < 0) throw py::value_error("training needs a source that has rows: none is given");
  if (rows > int64_t{UINT32_MAX}) throw py::value_error("more than 4294967295 rows");
  std::vector<uint32_t> all(static_cast<size_t>(rows));
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

// The native trainer and the arrays that it borrows, alive together.
class BoundTrainer {
 public:
  BoundTrainer(const ModelPointer& model, const py::dict& sources, const py::object& index,
               int64_t batch, const py::list& arenas, const py::list& segments,
               const py::dict& hypers, double clip_norm, double clip_value, bool shuffle,
               uint32_t seed, int threads)
      : sources_(sources_of(sources)), arenas_(py::tuple(arenas)) {
    for (const char* function : {"grad", "update", "measure"}) {
      if (model->has(function)) require_hypers(*model, function, hypers);
    }
    TrainerOptions options;
    options.batch = batch;
    options.seed = seed;
    options.shuffle = shuffle;
    options.threads = threads;
    options.clip = {clip_value, clip_norm};
    const Arrays arrays = arrays_of(*model, arenas_[0], arenas_[1], arenas_[2], arenas_[3]);
    const std::vector<Source>& named = sources_.sources;
    trainer_ = std::make_unique<Trainer>(model, named, training_rows(model, named, index), options,
                                         arrays, segments_of(segments), hypers_of(*model, hypers));
  }

  // (results, error): of the epochs that ended, and what a signal's handler raised, or None.
  py::tuple epochs(uint64_t first, int64_t step,
                   const py::array_t<double, py::array::c_style | py::array::forcecast>& rates,
                   bool breaks) {
    const int64_t steps = trainer_->steps();
    if (rates.ndim() != 1 || rates.size() == 0 || rates.size() % steps != 0) {
      throw py::value_error("an epoch needs one learning rate a step: " + std::to_string(steps) +
                            ", got " + std::to_string(rates.size()));
    }
    const Turn turn(busy_);
    Epochs done;
    {
      const py::gil_scoped_release free;
      done = trainer_->epochs(first, rates.size() / steps, step, rates.data(), signal_came, breaks);
    }
    py::object error = py::none();
    // A signal that came late must not raise before the caller has heard of these epochs.
    if (done.interrupted || signal_came()) {
      const py::error_already_set raised;
      error = raised.value();
      if (raised.trace()) PyException_SetTraceback(error.ptr(), raised.trace().ptr());
    }
    return py::make_tuple(std::move(done.results), error);
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
    return list_of(trainer_->profile(steps, rate));
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
  std::unique_ptr<Trainer> trainer_;
};

py::dict lbfgs(const ModelPointer& model, const py::dict& sources, const py::object& index,
               const py::list& arenas, const py::list& segments, const py::dict& hypers,
               uint32_t seed, int threads, int64_t max_iterations, double gradient_tolerance,
               double loss_tolerance, int64_t history, const py::object& callback) {
  const py::tuple lent_arenas(arenas);
  const Arrays arrays =
      arrays_of(*model, lent_arenas[0], lent_arenas[1], lent_arenas[2], py::none());
  require_hypers(*model, "grad", hypers);
  const LentSources lent = sources_of(sources);
  const std::vector<Source>& named = lent.sources;
  Objective objective(model, named, training_rows(model, named, index), seed, threads, arrays,
                      segments_of(segments), hypers_of(*model, hypers));
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
      const py::gil_scoped_acquire lock;
      try {
        const double mean = now.weight_sum > 0 ? now.loss_sum / now.weight_sum : 0.0;
        return py::cast<bool>(callback(now.iterations, now.objective, mean));
      } catch (...) {
        failed = std::current_exception();
        return true;
      }
    };
  }
  LbfgsResult result;
  {
    const py::gil_scoped_release free;
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
      .def_readonly("status", &EpochResult::status)
      .def_readonly("finite", &EpochResult::finite)
      .def_readonly("bad_rows", &EpochResult::bad_rows);
  py::class_<BoundTrainer>(module, "Trainer")
      .def(py::init<const ModelPointer&, const py::dict&, const py::object&, int64_t,
                    const py::list&, const py::list&, const py::dict&, double, double, bool,
                    uint32_t, int>())
      .def("epochs", &BoundTrainer::epochs)
      .def_property_readonly("busy", &BoundTrainer::busy)
      .def("info", &BoundTrainer::info)
      .def("profile", &BoundTrainer::profile);
  module.def("lbfgs", &lbfgs);
}

}  // namespace slim
