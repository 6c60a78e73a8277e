// Windows that slide over x [images, x0, x1, x2, channels] and give y [images, y0, y1, y2, …]. A
// Window has the sizes as enumerators: x0…, y0…, kernel0…, stride0…, dilation0…, before0….
#pragma once

namespace slim {

struct Place3 {
  int d, h, w;
};

__device__ inline bool inside(int at, int size) {
  return static_cast<unsigned int>(at) < static_cast<unsigned int>(size);
}

template <class Window>
struct Windows {
  static constexpr int x_pixels = Window::x0 * Window::x1 * Window::x2;
  static constexpr int y_pixels = Window::y0 * Window::y1 * Window::y2;
  static constexpr int taps = Window::kernel0 * Window::kernel1 * Window::kernel2;

  static __device__ Place3 x_place(int pixel) {
    return {pixel / (Window::x1 * Window::x2), pixel / Window::x2 % Window::x1, pixel % Window::x2};
  }
  static __device__ Place3 y_place(int pixel) {
    return {pixel / (Window::y1 * Window::y2), pixel / Window::y2 % Window::y1, pixel % Window::y2};
  }
  // How far into a window a tap reads.
  static __device__ Place3 reach(int tap) {
    return {tap / (Window::kernel1 * Window::kernel2) * Window::dilation0,
            tap / Window::kernel2 % Window::kernel1 * Window::dilation1,
            tap % Window::kernel2 * Window::dilation2};
  }
  // Where the window of y's pixel begins.
  static __device__ Place3 corner(int pixel) {
    const Place3 y = y_place(pixel);
    return {y.d * Window::stride0 - Window::before0, y.h * Window::stride1 - Window::before1,
            y.w * Window::stride2 - Window::before2};
  }
  // The pixel of x where a tap of the window reads; -1: none.
  static __device__ int x_pixel(const Place3& corner, const Place3& reach) {
    const int d = corner.d + reach.d, h = corner.h + reach.h, w = corner.w + reach.w;
    if (!inside(d, Window::x0) || !inside(h, Window::x1) || !inside(w, Window::x2)) return -1;
    return (d * Window::x1 + h) * Window::x2 + w;
  }
  // The pixel of y whose window reads a pixel of x by a tap; -1: none. `padded` is x's pixel.
  static __device__ Place3 padded(int pixel) {
    const Place3 x = x_place(pixel);
    return {x.d + Window::before0, x.h + Window::before1, x.w + Window::before2};
  }
  static __device__ int y_pixel(const Place3& padded, const Place3& reach) {
    const int d = padded.d - reach.d, h = padded.h - reach.h, w = padded.w - reach.w;
    if (d < 0 || h < 0 || w < 0) return -1;
    if (d % Window::stride0 != 0 || h % Window::stride1 != 0 || w % Window::stride2 != 0) return -1;
    const int to_d = d / Window::stride0, to_h = h / Window::stride1, to_w = w / Window::stride2;
    if (to_d >= Window::y0 || to_h >= Window::y1 || to_w >= Window::y2) return -1;
    return (to_d * Window::y1 + to_h) * Window::y2 + to_w;
  }
};

}  // namespace slim
