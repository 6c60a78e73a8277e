// From Slim.java to slim.h and back; errors become IllegalStateException.
#include <jni.h>
#include <slim.h>
#include <stdint.h>
#include <stdlib.h>

static int failed(JNIEnv* env, slim_status status) {
  if (status == SLIM_OK) return 0;
  jclass kind = (*env)->FindClass(env, "java/lang/IllegalStateException");
  (*env)->ThrowNew(env, kind, slim_message());
  return 1;
}

JNIEXPORT jlong JNICALL Java_Slim_load(JNIEnv* env, jclass self, jstring path) {
  slim_model* model = NULL;
  const char* name = (*env)->GetStringUTFChars(env, path, NULL);
  (void)self;
  failed(env, slim_load(name, NULL, &model));
  (*env)->ReleaseStringUTFChars(env, path, name);
  return (jlong)(intptr_t)model;
}

JNIEXPORT void JNICALL Java_Slim_free(JNIEnv* env, jclass self, jlong model) {
  (void)env, (void)self;
  slim_free((slim_model*)(intptr_t)model);
}

JNIEXPORT jint JNICALL Java_Slim_columns(JNIEnv* env, jclass self, jlong model, jstring method) {
  slim_value input = {0};
  const char* name = (*env)->GetStringUTFChars(env, method, NULL);
  (void)self;
  failed(env, slim_input((slim_model*)(intptr_t)model, name, 0, &input));
  (*env)->ReleaseStringUTFChars(env, method, name);
  return (jint)input.shape[1];
}

JNIEXPORT jstring JNICALL Java_Slim_label(JNIEnv* env, jclass self, jlong model, jint code) {
  const char* label = slim_label((slim_model*)(intptr_t)model, 0, (size_t)code);
  (void)self;
  return label != NULL ? (*env)->NewStringUTF(env, label) : NULL;
}

JNIEXPORT jlong JNICALL Java_Slim_open(JNIEnv* env, jclass self, jlong model, jstring method) {
  slim_session* session = NULL;
  const char* name = (*env)->GetStringUTFChars(env, method, NULL);
  (void)self;
  failed(env, slim_session_new((slim_model*)(intptr_t)model, name, NULL, &session));
  (*env)->ReleaseStringUTFChars(env, method, name);
  return (jlong)(intptr_t)session;
}

JNIEXPORT jdoubleArray JNICALL Java_Slim_run(JNIEnv* env, jclass self, jlong handle,
                                             jdoubleArray row) {
  slim_session* session = (slim_session*)(intptr_t)handle;
  const int64_t shape[] = {1, (*env)->GetArrayLength(env, row)};
  jdouble* numbers = (*env)->GetDoubleArrayElements(env, row, NULL);
  const slim_array x = {"X", SLIM_F64, numbers, 2, shape, NULL};
  const slim_status status = slim_session_run(session, &x, 1);
  (void)self;
  (*env)->ReleaseDoubleArrayElements(env, row, numbers, JNI_ABORT);
  if (failed(env, status)) return NULL;
  const slim_array* found = slim_session_result(session, 0);
  jsize count = 1;
  for (size_t i = 0; i < found->rank; ++i) count *= (jsize)found->shape[i];
  jdoubleArray result = (*env)->NewDoubleArray(env, count);
  if (result == NULL) return NULL;
  for (jsize i = 0; i < count; ++i) {
    const jdouble value = found->type == SLIM_I64 ? (jdouble)((const int64_t*)found->data)[i]
                                                  : ((const double*)found->data)[i];
    (*env)->SetDoubleArrayRegion(env, result, i, 1, &value);
  }
  return result;
}

JNIEXPORT void JNICALL Java_Slim_end(JNIEnv* env, jclass self, jlong session) {
  (void)env, (void)self;
  slim_session_free((slim_session*)(intptr_t)session);
}
