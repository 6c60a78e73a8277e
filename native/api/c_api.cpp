// The door for everyone but Python: include/slim.h over the model file and the runtime.
#include <algorithm>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "include/slim.h"
#include "runtime/call/forward.h"
#include "runtime/data/bind.h"
#include "runtime/train/hypers.h"
#include "runtime/train/trainer.h"

struct slim_model {
  explicit slim_model(const char* path)
      : file(slim::ModelFile::open(path)),
        model(std::make_shared<const slim::Model>(file->content().program().text, "cpu", true)) {}

  slim::Arrays arrays() const {
    slim::Arrays lent;
    const slim::StoredProgram& program = file->content().program();
    lent.param = program.params.data();
    lent.state = program.state.data();
    return lent;
  }

  std::shared_ptr<const slim::ModelFile> file;
  std::shared_ptr<const slim::Model> model;
  slim::Arena gradient;
  slim::Arena slots;  // where the file has none
  uint64_t epoch = 0;
  int64_t step = 0;
};

struct slim_results {
  struct Result {
    std::vector<int64_t> shape;
    slim::Arena data;
    slim_array array;
  };
  std::vector<Result> list;
};

namespace slim {
namespace {

thread_local std::string message;

template <class Call>
slim_status guarded(const Call& call) noexcept {
  const auto failed = [](slim_status status, const char* why) noexcept {
    try {
      message = why;
    } catch (...) {
      message.clear();
    }
    return status;
  };
  try {
    call();
    return SLIM_OK;
  } catch (const std::invalid_argument& error) {
    return failed(SLIM_INVALID, error.what());
  } catch (const FileError& error) {
    return failed(SLIM_SYSTEM, error.what());
  } catch (const std::bad_alloc&) {
    return failed(SLIM_MEMORY, "not enough memory");
  } catch (const std::exception& error) {
    return failed(SLIM_INTERNAL, error.what());
  } catch (...) {
    return failed(SLIM_INTERNAL, "an unknown error");
  }
}

void require(bool given, const char* what) {
  if (!given) throw std::invalid_argument(std::string(what) + " is NULL");
}

int64_t bytes_of(SourceType type) {
  constexpr int64_t kBytes[] = {4, 8, 1, 2, 4, 8, 1, 2, 1};
  return kBytes[static_cast<size_t>(type)];
}

std::vector<Source> sources_of(const slim_array* arrays, size_t count) {
  require(arrays != nullptr || count == 0, "sources");
  std::vector<Source> sources;
  for (size_t i = 0; i < count; ++i) {
    const slim_array& array = arrays[i];
    require(array.name != nullptr, "a source's name");
    require(array.shape != nullptr || array.rank == 0, "a source's shape");
    if (static_cast<unsigned>(array.type) > SLIM_BOOL) {
      throw std::invalid_argument("source " + std::string(array.name) + " has an unknown type");
    }
    Source source;
    source.name = array.name;
    source.type = static_cast<SourceType>(array.type);
    source.data = static_cast<const std::byte*>(array.data);
    source.shape.assign(array.shape, array.shape + array.rank);
    source.strides.resize(array.rank);
    int64_t stride = bytes_of(source.type);
    bool fits = true;
    for (size_t axis = array.rank; axis-- > 0;) {
      source.strides[axis] = stride;
      fits = fits && source.shape[axis] >= 0 &&
             !__builtin_mul_overflow(stride, source.shape[axis], &stride);
    }
    if (!fits) throw std::invalid_argument("source " + source.name + " has an impossible shape");
    require(array.data != nullptr || stride == 0, "a source's data");
    sources.push_back(std::move(source));
  }
  return sources;
}

void refuse_bad_data(uint32_t status) {
  if ((status & (kBadIndex | kBadLabel)) == 0) return;
  throw std::invalid_argument("the data has labels or indices that are out of range");
}

slim_type type_of(DType dtype) {
  constexpr slim_type kTypes[] = {SLIM_F32, SLIM_F64, SLIM_I32, SLIM_I64, SLIM_BOOL, SLIM_U8};
  return kTypes[static_cast<size_t>(dtype)];
}

std::unique_ptr<slim_results> run(const slim_model& model, const char* function,
                                  const std::vector<Source>& sources, int threads) {
  require_hypers(*model.model, function, {});
  ForwardOptions options;
  options.rows = rows_of_call(model.model->function(function), sources, 0);
  options.threads = std::max(threads, 0);
  Forward forward(model.model, function, sources, {}, options, model.arrays(),
                  hypers_of(*model.model, {}));
  auto results = std::make_unique<slim_results>();
  for (Returned& returned : forward.returns()) {
    int64_t bytes = size_of(returned.dtype);
    for (const int64_t extent : returned.shape) bytes *= extent;
    slim_results::Result& result = results->list.emplace_back();
    result.shape = returned.shape;
    result.data = Arena(bytes);
    returned.data = result.data.data();
  }
  // Only now do the shapes stay where they are.
  for (size_t i = 0; i < results->list.size(); ++i) {
    slim_results::Result& result = results->list[i];
    result.array = {nullptr, type_of(forward.returns()[i].dtype), result.data.data(),
                    result.shape.size(), result.shape.data()};
  }
  refuse_bad_data(forward.run());
  return results;
}

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

double train(slim_model& model, const std::vector<Source>& sources, const slim_training& how) {
  if (how.epochs < 1 || how.batch_size < 1) {
    throw std::invalid_argument("training needs at least one epoch and one row a batch");
  }
  require(how.hypers != nullptr || how.hyper_count == 0, "hypers");
  Numbers numbers;
  for (size_t i = 0; i < how.hyper_count; ++i) {
    require(how.hypers[i].name != nullptr, "a hyper's name");
    numbers[how.hypers[i].name] = how.hypers[i].value;
  }
  const Model& program = *model.model;
  if (program.updates() > 1) {
    throw std::invalid_argument(
        "this program has several optimizers, and does not say which parameters are whose: train "
        "it from Python");
  }
  for (const char* function : {"grad", "update", "measure"}) {
    if (program.has(function)) require_hypers(program, function, numbers);
  }
  const Layout& layout = program.layout();
  Arrays arrays = model.arrays();
  if (model.gradient.data() == nullptr) model.gradient = Arena(layout.param_bytes);
  arrays.gradient = model.gradient.data();
  arrays.slot = model.file->content().program().slots.data();
  if (arrays.slot == nullptr) {
    if (model.slots.data() == nullptr) model.slots = Arena(layout.slot_bytes);
    arrays.slot = model.slots.data();
  }
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
  Trainer trainer(model.model, sources, std::move(rows), options, arrays,
                  segments_of(program, numbers), std::move(hypers), scheduled);
  const uint64_t last = model.epoch + static_cast<uint64_t>(how.epochs);
  const std::vector<double> rates(static_cast<size_t>(trainer.steps()), how.learning_rate);
  double loss = 0;
  while (model.epoch < last) {
    const Start start{model.epoch, 0, model.step, 0.0, 0.0};
    const Epochs epochs = trainer.run(start, trainer.steps(), rates.data(), 1, {}, false);
    const EpochResult& result = epochs.results.at(0);
    refuse_bad_data(result.status);
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

}  // namespace
}  // namespace slim

const char* slim_message() { return slim::message.c_str(); }

slim_status slim_load(const char* path, slim_model** model) {
  return slim::guarded([&] {
    slim::require(path != nullptr, "path");
    slim::require(model != nullptr, "model");
    *model = nullptr;
    *model = new slim_model(path);
  });
}

slim_status slim_save(const slim_model* model, const char* path) {
  return slim::guarded([&] {
    slim::require(model != nullptr, "model");
    slim::require(path != nullptr, "path");
    const slim::ModelContent& content = model->file->content();
    const slim::StoredProgram& program = content.program();
    slim::save({{{program.text, program.params, program.state, {}}}, content.meta, "", "", {}},
               path);
  });
}

void slim_free(slim_model* model) { delete model; }

slim_status slim_run(const slim_model* model, const char* function, const slim_array* sources,
                     size_t source_count, int threads, slim_results** results) {
  return slim::guarded([&] {
    slim::require(model != nullptr, "model");
    slim::require(function != nullptr, "function");
    slim::require(results != nullptr, "results");
    *results = nullptr;
    *results =
        slim::run(*model, function, slim::sources_of(sources, source_count), threads).release();
  });
}

size_t slim_result_count(const slim_results* results) {
  return results != nullptr ? results->list.size() : 0;
}

const slim_array* slim_result(const slim_results* results, size_t index) {
  return index < slim_result_count(results) ? &results->list[index].array : nullptr;
}

void slim_free_results(slim_results* results) { delete results; }

slim_status slim_train(slim_model* model, const slim_array* sources, size_t source_count,
                       const slim_training* how, double* loss) {
  return slim::guarded([&] {
    slim::require(model != nullptr, "model");
    slim::require(how != nullptr, "how");
    const double last = slim::train(*model, slim::sources_of(sources, source_count), *how);
    if (loss != nullptr) *loss = last;
  });
}
