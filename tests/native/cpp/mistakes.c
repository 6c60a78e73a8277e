// What a caller of slim.h can do wrong ends in a status and in words.
// mistakes MODEL DAMAGED NEWER
#include <stdio.h>
#include <string.h>

#include "slim.h"

static int failures = 0;

static void expect(slim_status status, slim_status wanted, const char* words) {
  if (status == wanted && strstr(slim_message(), words) != NULL) return;
  printf("expected %d and '%s', got %d: %s\n", wanted, words, status, slim_message());
  ++failures;
}

int main(int count, char** words) {
  slim_model* model = NULL;
  slim_results* results = NULL;
  double loss = 0;
  const double x[] = {0, 0, 0, 0, 0, 0};
  const int64_t right[] = {2, 3}, narrow[] = {3, 2}, negative[] = {-2, 3};
  const int32_t labels[] = {0, 99};
  const slim_array good = {"X", SLIM_F64, x, 2, right}, short_rows = {"X", SLIM_F64, x, 2, narrow},
                   upside = {"X", SLIM_F64, x, 2, negative},
                   nothing = {"X", SLIM_F64, NULL, 2, right}, other = {"Z", SLIM_F64, x, 2, right},
                   odd = {"X", (slim_type)77, x, 2, right};
  const slim_array bad[] = {{"X", SLIM_F64, x, 2, right},
                            {"y", SLIM_I32, labels, 1, right},
                            {"sample_weight", SLIM_F64, x, 1, right}};
  slim_training how = {0};
  if (count != 4) return 2;

  expect(slim_load("/no/such/file", &model), SLIM_SYSTEM, "No such file");
  expect(slim_load(NULL, &model), SLIM_INVALID, "path is NULL");
  expect(slim_load(words[2], &model), SLIM_INVALID, "is damaged");
  expect(slim_load(words[3], &model), SLIM_INVALID, "upgrade slimlearn");
  if (model != NULL) return 3;
  if (slim_load(words[1], &model) != SLIM_OK) return 4;

  expect(slim_run(model, "foresee", &good, 1, 1, &results), SLIM_INVALID, "foresee");
  expect(slim_run(model, "predict", &short_rows, 1, 1, &results), SLIM_INVALID, "X");
  expect(slim_run(model, "predict", &upside, 1, 1, &results), SLIM_INVALID, "impossible shape");
  expect(slim_run(model, "predict", &nothing, 1, 1, &results), SLIM_INVALID, "data is NULL");
  expect(slim_run(model, "predict", &other, 1, 1, &results), SLIM_INVALID, "X is missing");
  expect(slim_run(model, "predict", &odd, 1, 1, &results), SLIM_INVALID, "unknown type");
  expect(slim_run(model, "predict", NULL, 1, 1, &results), SLIM_INVALID, "sources is NULL");
  expect(slim_run(NULL, "predict", &good, 1, 1, &results), SLIM_INVALID, "model is NULL");
  if (results != NULL) return 5;
  if (slim_run(model, "predict", &good, 1, 1, &results) != SLIM_OK) return 6;
  if (slim_result(results, 1) != NULL || slim_result_count(NULL) != 0) return 7;
  slim_free_results(results);
  slim_free_results(NULL);

  expect(slim_train(model, bad, 3, NULL, &loss), SLIM_INVALID, "how is NULL");
  expect(slim_train(model, bad, 3, &how, &loss), SLIM_INVALID, "at least one epoch");
  how.epochs = how.batch_size = 1;
  expect(slim_train(model, bad, 3, &how, &loss), SLIM_INVALID, "give it a value");
  const slim_number numbers[] = {{"beta1", 0.9}, {"beta2", 0.999}, {"epsilon", 1e-8}};
  how.hypers = numbers;
  how.hyper_count = 3;
  expect(slim_train(model, bad, 3, &how, &loss), SLIM_INVALID, "labels or indices");
  expect(slim_train(model, bad, 1, &how, &loss), SLIM_INVALID, "is missing");
  expect(slim_save(model, "/no/such/folder/file"), SLIM_SYSTEM, "No such file");
  slim_free(model);
  slim_free(NULL);
  return failures != 0;
}
