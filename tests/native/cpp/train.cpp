// Loads a program, predicts, trains some epochs, predicts again and saves: all without Python.
// train FOLDER ROWS COLUMNS EPOCHS BATCH RATE SEED [HYPER=VALUE]...
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "slim.h"

namespace {

void check(slim_status status) {
  if (status == SLIM_OK) return;
  std::fprintf(stderr, "%d: %s\n", status, slim_message());
  std::exit(1);
}

std::vector<char> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void predict(const slim_model* model, const slim_array& x, const std::string& path) {
  slim_results* results = nullptr;
  check(slim_run(model, "predict", &x, 1, 0, &results));
  const slim_array* found = slim_result(results, 0);
  if (slim_result_count(results) != 1 || found->type != SLIM_F64 || found->rank != 2) std::exit(2);
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(found->data), found->shape[0] * found->shape[1] * 8);
  slim_free_results(results);
}

}  // namespace

int main(int count, char** words) {
  const std::string folder = words[1];
  const std::vector<char> x = read(folder + "/X"), y = read(folder + "/y"),
                          weight = read(folder + "/sample_weight");
  const int64_t shape[] = {std::atoll(words[2]), std::atoll(words[3])};
  const slim_array sources[] = {{"X", SLIM_F64, x.data(), 2, shape, nullptr},
                                {"y", SLIM_I32, y.data(), 1, shape, nullptr},
                                {"sample_weight", SLIM_F64, weight.data(), 1, shape, nullptr}};
  slim_training how = {};
  how.epochs = std::atoll(words[4]);
  how.batch_size = std::atoll(words[5]);
  how.learning_rate = std::atof(words[6]);
  how.seed = static_cast<uint32_t>(std::atoll(words[7]));
  how.shuffle = 1;
  std::vector<std::string> names;
  std::vector<slim_number> hypers;
  for (int i = 8; i < count; ++i) {
    const std::string word = words[i];
    names.push_back(word.substr(0, word.find('=')));
    hypers.push_back({nullptr, std::atof(word.c_str() + names.back().size() + 1)});
  }
  for (size_t i = 0; i < names.size(); ++i) hypers[i].name = names[i].c_str();
  how.hypers = hypers.data();
  how.hyper_count = hypers.size();

  slim_model* model = nullptr;
  check(slim_load((folder + "/model.slim").c_str(), nullptr, &model));
  predict(model, sources[0], folder + "/before");
  // All but the last epoch one by one: as if all were one call.
  double loss = 0;
  slim_trainer* trainer = nullptr;
  check(slim_trainer_new(model, sources, 3, &how, &trainer));
  for (; how.epochs > 1; --how.epochs) {
    check(slim_trainer_run(trainer, 1, how.learning_rate, &loss));
  }
  slim_trainer_free(trainer);
  check(slim_train(model, sources, 3, &how, &loss));
  predict(model, sources[0], folder + "/after");
  check(slim_save(model, (folder + "/trained.slim").c_str()));
  slim_free(model);
  std::printf("%a\n", loss);
  return 0;
}
