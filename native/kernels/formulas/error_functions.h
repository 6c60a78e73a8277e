// erf and its inverse, of vectors; what math.h says of its functions holds here too.
#pragma once

#include <limits>

#include "kernels/formulas/math.h"

namespace slim::SLIM_ISA_NAMESPACE {

// <= 4 ulp in f32 (Norbert Juffa's polynomials, stackoverflow.com/q/35148198); libm in f64
template <class V>
SLIM_INLINE V erf(V x) {
  if constexpr (sizeof(Lane<V>) == 8) {
    return each_lane(x, [](auto lane) { return libm::erf(lane); });
  } else {
    constexpr float kInner[] = {1.28379166e-1f,  -3.76125336e-1f, 1.12819925e-1f,
                                -2.67681349e-2f, 4.99119423e-3f,  -5.96761703e-4f};
    constexpr float kOuter[] = {-1.28717512e-1f, -6.34846687e-1f, -1.06777877e-1f, 2.42546219e-2f,
                                -3.88396438e-3f, 3.83197126e-4f,  -1.72853470e-5f};
    const V t = absolute(x);
    const V inner = fma(polynomial(t * t, kInner), x, x);
    const V power = fma(polynomial(t, kOuter), t, -t);
    const V outer = with_sign(1.0f - exp(power), x);
    const V result = select(t > 0.927734375f, outer, inner);
    return select(x != x, x, select(t > 4.0f, with_sign(broadcast<V>(1.0f), x), result));
  }
}

// The inverse over x is a smooth function of w = -log(1 - x²) near 0, of √w beyond (Giles, GPU
// Computing Gems, 2011); these are Chebyshev fits of it on intervals [0, kNear), [kNear, kFar),
// [kFar, end of the precision), each around the interval's middle.
template <class T>
struct ErfinvConstants;

template <>
struct ErfinvConstants<float> {
  static constexpr float kNear = 5.0f, kCentre = 2.5f, kTailCentre = 3.0f;
  static constexpr float kInner[] = {1.5014094114e+00f,  2.4664027989e-01f, -4.1773929261e-03f,
                                     -1.2527264189e-03f, 2.1834939253e-04f, -4.9724199016e-06f,
                                     -3.4639851947e-06f, 4.6813136123e-07f, 2.3335967825e-08f,
                                     -8.9319263097e-09f};
  static constexpr float kTail[] = {2.8329768181e+00f,  1.0016750097e+00f,  9.4457436353e-03f,
                                    -7.6391389593e-03f, 5.6826784275e-03f,  -3.5878157777e-03f,
                                    1.4972224599e-03f,  -7.6047901530e-05f, -3.1992667937e-04f,
                                    1.2924175826e-04f};
};

template <>
struct ErfinvConstants<double> {
  static constexpr double kNear = 6.25, kCentre = 3.125, kTailCentre = 3.25;
  static constexpr double kFar = 16.0, kFarCentre = 5.0;
  static constexpr double kInner[] = {
      1.6536545626831027,      0.24015818242558834,    -0.006033670871426851,
      -0.0007407025341546431,  0.00018673420801981186, -1.3882523393957483e-05,
      -1.3654691758785656e-06, 4.23478816822246e-07,   -2.907039127564132e-08,
      -4.1126604371632185e-09, 1.051223377050429e-09,  -5.414303283919504e-11,
      -1.2978805369932565e-11, 2.6305268312595183e-12, -8.07192593899004e-14,
      -4.0020031087558496e-14, 6.521333511502239e-15,  -3.94018812230432e-17,
      -1.2215637192404172e-16, 1.5510787009902526e-17, 6.075050702072414e-19,
      -3.4734793888538036e-19, 1.999259988861535e-20,  3.194015548136271e-21,
      -3.5932028927020693e-22};
  static constexpr double kTail[] = {
      3.0838856104922208,     1.0052589676941655,      0.005370914553555033,
      -0.0037512085082247342, 0.00249144209795696,     -0.0016882755354488555,
      0.0009532893415794137,  -0.0003550378137852452,  2.4031512865758357e-05,
      6.828711739251955e-05,  -4.732068066544697e-05,  1.2465028224217455e-05,
      2.93257845538535e-06,   -3.985705945648173e-06,  1.4815977874022539e-06,
      -2.761716223816241e-08, -2.4549818963339823e-07, 1.3158663683192966e-07,
      -2.091453334773126e-08, -1.5305397964152548e-08, 7.680200479077053e-09};
  static constexpr double kFarTail[] = {
      4.849906401408584,       1.0103004648645453,     -0.0001387193183793902,
      -0.00021503011982656274, 7.599527807604776e-05,  -1.9681770719043677e-05,
      4.526052743790951e-06,   -9.9302927406069e-07,   2.290516780486715e-07,
      -6.755650411430056e-08,  2.9021987809100164e-08, -1.525464535688987e-08,
      7.815701028842222e-09,   -3.471592786518304e-09, 1.3217356090705064e-09,
      -4.3752073162016196e-10, 6.646144734325846e-11,  4.2883063927487056e-11,
      -1.968931701962243e-11};
};

// <= 4 ulp; ±1 is ±inf, beyond them NaN
template <class V>
SLIM_INLINE V erfinv(V x) {
  using C = ErfinvConstants<Lane<V>>;
  const V magnitude = absolute(x);
  const V w = -log((Lane<V>(1) - magnitude) * (Lane<V>(1) + magnitude));
  V slope = polynomial(w - C::kCentre, C::kInner);
  if (any(w >= C::kNear)) {
    const V root = sqrt(w);
    slope = select(w >= C::kNear, polynomial(root - C::kTailCentre, C::kTail), slope);
    if constexpr (sizeof(Lane<V>) == 8) {
      slope = select(w >= C::kFar, polynomial(root - C::kFarCentre, C::kFarTail), slope);
    }
  }
  const V infinite = with_sign(broadcast<V>(std::numeric_limits<Lane<V>>::infinity()), x);
  return select(magnitude == Lane<V>(1), infinite, x * slope);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
