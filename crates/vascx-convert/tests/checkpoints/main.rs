//! Checkpoints of every kind convert and answer like the libraries they come from; damaged and
//! hostile ones are refused. One program, because each would compile every network anew.

mod comparison;
mod configurations;
mod onnx;
mod releases;
mod state_dicts;
