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
  const int64_t right[] = {2, 3}, narrow[] = {3, 2}, negative[] = {-2, 3}, single[] = {1, 3};
  const int32_t labels[] = {0, 99};
  const slim_array good = {"X", SLIM_F64, x, 2, right, NULL},
                   short_rows = {"X", SLIM_F64, x, 2, narrow, NULL},
                   upside = {"X", SLIM_F64, x, 2, negative, NULL},
                   nothing = {"X", SLIM_F64, NULL, 2, right, NULL},
                   other = {"Z", SLIM_F64, x, 2, right, NULL},
                   odd = {"X", (slim_type)77, x, 2, right, NULL};
  const int32_t ids[] = {0, 1}, far[] = {0, 9}, offsets[] = {0, 1, 2}, falling[] = {0, 2, 1};
  const slim_csr csr = {ids, SLIM_I32, offsets, SLIM_I32},
                 beyond = {far, SLIM_I32, offsets, SLIM_I32},
                 upset = {ids, SLIM_I32, falling, SLIM_I32},
                 small = {ids, SLIM_I8, offsets, SLIM_I32};
  const slim_array sparse = {"X", SLIM_F64, x, 2, right, &csr},
                   wide = {"X", SLIM_F64, x, 2, right, &beyond},
                   unsorted = {"X", SLIM_F64, x, 2, right, &upset},
                   narrow_ids = {"X", SLIM_F64, x, 2, right, &small};
  const slim_array bad[] = {{"X", SLIM_F64, x, 2, right, NULL},
                            {"y", SLIM_I32, labels, 1, right, NULL},
                            {"sample_weight", SLIM_F64, x, 1, right, NULL}};
  slim_session* session = NULL;
  slim_trainer* trainer = NULL;
  slim_value value;
  slim_limits limits = {0};
  slim_session_options options = {0};
  slim_training how = {0};
  if (count != 5) return 2;

  expect(slim_load("/no/such/file", NULL, &model), SLIM_SYSTEM, "No such file");
  expect(slim_load(NULL, NULL, &model), SLIM_INVALID, "path is NULL");
  expect(slim_load(words[2], NULL, &model), SLIM_INVALID, "is damaged");
  expect(slim_load(words[3], NULL, &model), SLIM_INVALID, "upgrade slimlearn");
  expect(slim_load_memory("gobbledygook", 12, NULL, &model), SLIM_INVALID, "no saved slimlearn");
  expect(slim_load_memory("", 0, NULL, &model), SLIM_INVALID, "is cut short");
  expect(slim_load_memory(NULL, 0, NULL, &model), SLIM_INVALID, "bytes is NULL");
  limits.file_bytes = 100;
  expect(slim_load(words[1], &limits, &model), SLIM_INVALID, "bytes, the limit is 100");
  expect(slim_load_memory("gobbledygook", 101, &limits, &model), SLIM_INVALID, "the limit is 100");
  limits.file_bytes = 0;
  limits.nodes = 3;
  expect(slim_load(words[1], &limits, &model), SLIM_INVALID, "nodes, the limit is 3");
  limits.nodes = 0;
  limits.sha256 = 1;
  expect(slim_load(words[4], &limits, &model), SLIM_INVALID, "its SHA-256 is ");
  if (model != NULL) return 3;
  limits.session_bytes = 1000000;
  if (slim_load(words[1], &limits, &model) != SLIM_OK) return 4;
  if (slim_api_version() != SLIM_API_VERSION) return 8;

  expect(slim_session_new(model, "foresee", NULL, &session), SLIM_INVALID, "no method foresee");
  expect(slim_session_new(model, "predict", NULL, NULL), SLIM_INVALID, "session is NULL");
  expect(slim_session_new(model, "grad", NULL, &session), SLIM_INVALID, "has no session");
  options.rows = 1000000;
  expect(slim_session_new(model, "predict", &options, &session), SLIM_INVALID,
         "the limit is 1000000");
  options.rows = -1;
  expect(slim_session_new(model, "predict", &options, &session), SLIM_INVALID, "are 1 to");
  options.rows = 2;
  const slim_size size = {"T", 3};
  options.sizes = &size;
  options.size_count = 1;
  expect(slim_session_new(model, "predict", &options, &session), SLIM_INVALID,
         "no open dimension T");
  options.size_count = 0;
  if (slim_session_new(model, "predict", &options, &session) != SLIM_OK) {
    return printf("%s\n", slim_message()), 9;
  }
  if (slim_session_result(session, 0) != NULL) return 10;
  expect(slim_session_run(NULL, &good, 1), SLIM_INVALID, "session is NULL");
  expect(slim_session_run(session, &short_rows, 1), SLIM_INVALID, "needs (rows, 3)");
  expect(slim_session_run(session, &upside, 1), SLIM_INVALID, "impossible shape");
  expect(slim_session_run(session, &nothing, 1), SLIM_INVALID, "data is NULL");
  expect(slim_session_run(session, &other, 1), SLIM_INVALID, "X is missing");
  expect(slim_session_run(session, &odd, 1), SLIM_INVALID, "unknown type");
  expect(slim_session_run(session, &sparse, 1), SLIM_INVALID, "needed are dense");
  expect(slim_session_run(session, &narrow_ids, 1), SLIM_INVALID, "neither SLIM_I32");
  expect(slim_session_run(session, NULL, 1), SLIM_INVALID, "sources is NULL");
  expect(slim_run(model, "predict", &wide, 1, 1, &results), SLIM_INVALID, "has the column 9");
  expect(slim_run(model, "predict", &unsorted, 1, 1, &results), SLIM_INVALID, "indptr");
  if (slim_session_run(session, &good, 1) != SLIM_OK) return 11;
  if (slim_session_result(session, 0) == NULL || slim_session_result(session, 1) != NULL) return 12;
  options.rows = 1;
  slim_session_free(session);
  if (slim_session_new(model, "predict", &options, &session) != SLIM_OK) return 13;
  expect(slim_session_run(session, &good, 1), SLIM_INVALID, "made for 1 to 1");
  expect(slim_input(model, "predict", 1, &value), SLIM_INVALID, "none of number 1");
  expect(slim_output(model, "foresee", 0, &value), SLIM_INVALID, "no method foresee");
  if (slim_method(model, 99) != NULL || slim_label(model, 0, 0) != NULL) return 14;
  if (slim_column(model, "X", 0) != NULL) return 15;

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
  expect(slim_trainer_new(model, bad, 1, &how, &trainer), SLIM_INVALID, "is missing");
  expect(slim_trainer_run(NULL, 1, 0.1, &loss), SLIM_INVALID, "trainer is NULL");
  const slim_array one = {"X", SLIM_F64, x, 2, single, NULL};
  expect(slim_session_run(session, &one, 1), SLIM_INVALID, "was trained since");
  slim_session_free(session);
  slim_session_free(NULL);
  expect(slim_save(model, "/no/such/folder/file"), SLIM_SYSTEM, "No such file");
  slim_free(model);
  slim_free(NULL);
  return failures != 0;
}
