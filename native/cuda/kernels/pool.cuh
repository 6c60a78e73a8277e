// Poolings: a thread for each element of the result, which it gathers. Sums are float64's, as those
// of reductions: a window may be a whole image.
#pragma once
#include "cuda/kernels/window.cuh"

namespace slim {

// each(element, first pixel of its image on the other side, its pixel, channel)
template <class Window, int pixels, int others, class Each>
__device__ void each_pixel(long long images, const Each& each) {
  constexpr int channels = Window::channels;
  const long long count = images * pixels * channels;
  for (long long i = first_index(); i < count; i += index_step()) {
    const int channel = static_cast<int>(i % channels);
    const long long pixel = i / channels;
    each(i, pixel / pixels * others, static_cast<int>(pixel % pixels), channel);
  }
}

template <class Window, class T>
__device__ void max_pool(const T* x, T* y, int32_t* places, long long images) {
  typedef Windows<Window> W;
  each_pixel<Window, W::y_pixels, W::x_pixels>(
      images, [=](long long i, long long first, int pixel, int channel) {
        const Place3 corner = W::corner(pixel);
        T best = T(0);
        int place = -1;
        for (int tap = 0; tap < W::taps; ++tap) {
          const int at = W::x_pixel(corner, W::reach(tap));
          if (at < 0) continue;
          const T v = x[(first + at) * Window::channels + channel];
          if (place < 0 || (!(v <= best) && best == best)) {  // NaN wins, and keeps what it has
            best = v;
            place = tap;
          }
        }
        y[i] = best;
        places[i] = place;
      });
}

template <class Window, class T>
__device__ void max_pool_grad(const T* dy, const int32_t* places, T* dx, long long images) {
  typedef Windows<Window> W;
  each_pixel<Window, W::x_pixels, W::y_pixels>(
      images, [=](long long i, long long first, int pixel, int channel) {
        const Place3 padded = W::padded(pixel);
        T sum = T(0);
        for (int tap = 0; tap < W::taps; ++tap) {
          const int at = W::y_pixel(padded, W::reach(tap));
          if (at < 0) continue;
          const long long from = (first + at) * Window::channels + channel;
          if (places[from] == tap) sum += dy[from];
        }
        dx[i] = sum;
      });
}

template <class Window, class T>
__device__ void max_pool_pick(const T* x, const int32_t* places, T* y, long long images) {
  typedef Windows<Window> W;
  each_pixel<Window, W::y_pixels, W::x_pixels>(
      images, [=](long long i, long long first, int pixel, int channel) {
        const int place = places[i];
        const int at = inside(place, W::taps) ? W::x_pixel(W::corner(pixel), W::reach(place)) : -1;
        y[i] = at < 0 ? T(0) : x[(first + at) * Window::channels + channel];
      });
}

template <class Window, class T>
__device__ void sum_pool(const T* x, T* y, long long images) {
  typedef Windows<Window> W;
  each_pixel<Window, W::y_pixels, W::x_pixels>(
      images, [=](long long i, long long first, int pixel, int channel) {
        const Place3 corner = W::corner(pixel);
        double sum = 0;
        for (int tap = 0; tap < W::taps; ++tap) {
          const int at = W::x_pixel(corner, W::reach(tap));
          if (at >= 0) sum += x[(first + at) * Window::channels + channel];
        }
        y[i] = static_cast<T>(sum);
      });
}

template <class Window, class T>
__device__ void sum_pool_grad(const T* dy, T* dx, long long images) {
  typedef Windows<Window> W;
  each_pixel<Window, W::x_pixels, W::y_pixels>(
      images, [=](long long i, long long first, int pixel, int channel) {
        const Place3 padded = W::padded(pixel);
        double sum = 0;
        for (int tap = 0; tap < W::taps; ++tap) {
          const int at = W::y_pixel(padded, W::reach(tap));
          if (at >= 0) sum += dy[(first + at) * Window::channels + channel];
        }
        dx[i] = static_cast<T>(sum);
      });
}

}  // namespace slim
