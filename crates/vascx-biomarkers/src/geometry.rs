//! Points and vectors of the image plane, (y, x) in pixels; a pixel's centre has its integer index.

use std::ops::{Add, Mul, Sub};

/// A position or a direction, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Down.
    pub y: f64,
    /// To the right.
    pub x: f64,
}

impl Point {
    /// The point (y, x).
    pub const fn new(y: f64, x: f64) -> Self {
        Self { y, x }
    }

    /// Length of the vector.
    pub fn norm(self) -> f64 {
        (self.y * self.y + self.x * self.x).sqrt()
    }

    /// Distance between two points.
    pub fn distance(self, other: Self) -> f64 {
        (self - other).norm()
    }

    /// Scalar product.
    pub fn dot(self, other: Self) -> f64 {
        self.y * other.y + self.x * other.x
    }

    /// Angle between two vectors in degrees, 0 to 180.
    pub fn angle_to(self, other: Self) -> f64 {
        let cosine = self.dot(other) / (self.norm() * other.norm());
        cosine.clamp(-1.0, 1.0).acos().to_degrees()
    }

    /// Whether both coordinates are numbers.
    pub fn is_finite(self) -> bool {
        self.y.is_finite() && self.x.is_finite()
    }
}

impl Add for Point {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.y + other.y, self.x + other.x)
    }
}

impl Sub for Point {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(self.y - other.y, self.x - other.x)
    }
}

impl Mul<f64> for Point {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self::new(self.y * factor, self.x * factor)
    }
}
