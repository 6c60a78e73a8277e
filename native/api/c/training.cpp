// Trains models for slim.h, a trainer's epochs at a time.
#include <algorithm>
#include <memory>

#include "api/c/model.h"
#include "runtime/data/bind.h"
#include "runtime/train/hypers.h"
#include "runtime/train/trainer.h"

namespace slim::c {
namespace {

// Coefficients are the numbers' of that name, times the parameter's own factor.
std::vector<Segment> segments_of(const Model& model, Numbers numbers) {
  std::vector<Segment> segments;
  numbers.emplace("segment.rate", 1.0);
  const std::vector<Layout::Place>& places = model.layout().places;
  for (size_t i = 0; i < places.size(); ++i) {
    const Layout::Place& place = places[i];
    if (place.base != Base::param) continue;
    Segment& segment = segments.emplace_back();
    segment.offset = place.offset / size_of(place.dtype);
    segment.length = place.bytes / size_of(place.dtype);
    for (const auto& [key, value] : model.program().declarations[i].factors) {
      const bool rate = key == "learning_rate_factor";
      for (const auto& [name, number] : numbers) {
        if (name.rfind("segment.", 0) == 0 && rate == (name == "segment.rate"))
          segment.coefficients[name] = number * std::get<double>(value);
      }
    }
  }
  return segments;
}

Numbers numbers_of(const slim_training& how) {
  require(how.hypers != nullptr || how.hyper_count == 0, "hypers");
  Numbers numbers;
  for (size_t i = 0; i < how.hyper_count; ++i) {
    require(how.hypers[i].name != nullptr, "a hyper's name");
    numbers[how.hypers[i].name] = how.hypers[i].value;
  }
  return numbers;
}

// The arenas that training writes to.
Arrays trained_arrays(slim_model& model) {
  const Layout& layout = model.model->layout();
  Arrays arrays = model.arrays();
  if (model.gradient.data() == nullptr) model.gradient = Arena(layout.param_bytes);
  arrays.gradient = model.gradient.data();
  arrays.slot = model.stored().slots.data();
  if (arrays.slot == nullptr) {
    if (model.slots.data() == nullptr) model.slots = Arena(layout.slot_bytes);
    arrays.slot = model.slots.data();
  }
  return arrays;
}

std::unique_ptr<Trainer> trainer_of(slim_model& model, const std::vector<Source>& sources,
                                    const slim_training& how) {
  if (how.batch_size < 1) {
    throw std::invalid_argument("training needs at least one epoch and one row a batch");
  }
  const Numbers numbers = numbers_of(how);
  const Model& program = *model.model;
  if (program.updates() > 1) {
    throw std::invalid_argument(
        "this program has several optimizers, and does not say which parameters are whose: train "
        "it from Python");
  }
  for (const char* function : {"grad", "update", "measure"}) {
    if (program.has(function)) require_hypers(program, function, numbers);
  }
  const Arrays arrays = trained_arrays(model);
  std::vector<uint32_t> rows = all_rows(program.function("grad"), sources);
  if (rows.empty()) throw std::invalid_argument("training needs rows: there are none");
  TrainerOptions options;
  options.steps.batch = std::min(how.batch_size, static_cast<int64_t>(rows.size()));
  options.steps.seed = how.seed;
  options.steps.threads = std::max(how.threads, 0);
  options.steps.clip = {how.clip_value, how.clip_norm};
  options.shuffle = how.shuffle != 0;
  Hypers hypers = hypers_of(program, numbers);
  std::vector<Scheduled> scheduled;
  if (hypers.offset("learning_rate") >= 0) scheduled.push_back({0, "learning_rate", 0.0, 1.0});
  return std::make_unique<Trainer>(model.model, sources, std::move(rows), options, arrays,
                                   segments_of(program, numbers), std::move(hypers), scheduled);
}

}  // namespace
}  // namespace slim::c

struct slim_trainer {
  // The mean loss of the last epoch.
  double run(int64_t epochs, double rate) {
    if (epochs < 1) {
      throw std::invalid_argument("training needs at least one epoch and one row a batch");
    }
    // What was packed of the arrays is theirs no more, and sessions are told.
    ++model.trained;
    model.packed = std::make_shared<slim::PackedArrays>();
    const uint64_t last = model.epoch + static_cast<uint64_t>(epochs);
    const std::vector<double> rates(static_cast<size_t>(trainer->steps()), rate);
    double loss = 0;
    while (model.epoch < last) {
      const slim::Start start{model.epoch, 0, model.step, 0.0, 0.0};
      const slim::Epochs ran = trainer->run(start, trainer->steps(), rates.data(), 1, {}, false);
      const slim::EpochResult& result = ran.results.at(0);
      slim::c::refuse_bad_data(result.status);
      if (!result.finite || result.status != 0) {
        throw std::invalid_argument("epoch " + std::to_string(model.epoch + 1) + ": " +
                                    (result.finite ? "a gradient" : "the loss") +
                                    " is not finite: lower the learning rate or scale the data");
      }
      loss = result.weight_sum > 0 ? result.loss_sum / result.weight_sum : 0.0;
      model.step += result.steps;
      ++model.epoch;
    }
    return loss;
  }

  slim_model& model;
  std::unique_ptr<slim::Trainer> trainer;
};

slim_status slim_trainer_new(slim_model* model, const slim_array* sources, size_t source_count,
                             const slim_training* how, slim_trainer** trainer) {
  return slim::c::guarded([&] {
    slim::c::require(model != nullptr, "model");
    slim::c::require(how != nullptr, "how");
    slim::c::require(trainer != nullptr, "trainer");
    *trainer = nullptr;
    auto made = slim::c::trainer_of(*model, slim::c::sources_of(sources, source_count), *how);
    *trainer = new slim_trainer{*model, std::move(made)};
  });
}

slim_status slim_trainer_run(slim_trainer* trainer, int64_t epochs, double learning_rate,
                             double* loss) {
  return slim::c::guarded([&] {
    slim::c::require(trainer != nullptr, "trainer");
    const double last = trainer->run(epochs, learning_rate);
    if (loss != nullptr) *loss = last;
  });
}

void slim_trainer_free(slim_trainer* trainer) { delete trainer; }

slim_status slim_train(slim_model* model, const slim_array* sources, size_t source_count,
                       const slim_training* how, double* loss) {
  slim_trainer* trainer = nullptr;
  slim_status status = slim_trainer_new(model, sources, source_count, how, &trainer);
  if (status == SLIM_OK) status = slim_trainer_run(trainer, how->epochs, how->learning_rate, loss);
  slim_trainer_free(trainer);
  return status;
}
