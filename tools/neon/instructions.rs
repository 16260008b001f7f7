//! NEON's instructions as plain functions, for `check` beside this file.
#![allow(non_camel_case_types, reason = "names of the architecture")]

#[derive(Clone, Copy)]
pub(super) struct Vector<T>([T; 4]);

pub(super) type float32x4_t = Vector<f32>;
pub(super) type int32x4_t = Vector<i32>;
pub(super) type uint32x4_t = Vector<u32>;

macro_rules! instructions {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $lane:expr;)*) => {$(
        pub(super) unsafe fn $name($($argument: $type),*) -> $result {
            Vector(std::array::from_fn(|index| { $(let $argument = $argument.0[index];)* $lane }))
        }
    )*};
}

instructions! {
    vaddq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t = a + b;
    vsubq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t = a - b;
    vmulq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t = a * b;
    vdivq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t = a / b;
    vfmaq_f32(sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t = a.mul_add(b, sum);
    vmaxq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t = if a > b || a.is_nan() { a } else { b };
    vcgtq_f32(a: float32x4_t, b: float32x4_t) -> uint32x4_t = if a > b { u32::MAX } else { 0 };
    vcltq_f32(a: float32x4_t, b: float32x4_t) -> uint32x4_t = if a < b { u32::MAX } else { 0 };
    vbslq_f32(mask: uint32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t = if mask == 0 { b } else { a };
    vreinterpretq_s32_f32(a: float32x4_t) -> int32x4_t = a.to_bits().cast_signed();
    vreinterpretq_f32_s32(a: int32x4_t) -> float32x4_t = f32::from_bits(a.cast_unsigned());
}

pub(super) unsafe fn vshlq_n_s32<const BITS: i32>(a: int32x4_t) -> int32x4_t {
    Vector(a.0.map(|value| value << BITS))
}

pub(super) unsafe fn vdupq_n_f32(value: f32) -> float32x4_t {
    Vector([value; 4])
}

pub(super) unsafe fn vld1q_f32(values: *const f32) -> float32x4_t {
    // SAFETY: four values, as the caller promises.
    Vector(unsafe { *values.cast() })
}

pub(super) unsafe fn vst1q_f32(values: *mut f32, vector: float32x4_t) {
    // SAFETY: room for four values, as the caller promises.
    unsafe { *values.cast() = vector.0 }
}
