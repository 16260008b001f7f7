//! Elements that describe a picture (PS3.6), by group and number.

use super::data_set::Tag;

pub(super) const SOP_INSTANCE_UID: Tag = (0x0008, 0x0018);
pub(super) const SAMPLES_PER_PIXEL: Tag = (0x0028, 0x0002);
pub(super) const PHOTOMETRIC_INTERPRETATION: Tag = (0x0028, 0x0004);
pub(super) const PLANAR_CONFIGURATION: Tag = (0x0028, 0x0006);
pub(super) const NUMBER_OF_FRAMES: Tag = (0x0028, 0x0008);
pub(super) const ROWS: Tag = (0x0028, 0x0010);
pub(super) const COLUMNS: Tag = (0x0028, 0x0011);
pub(super) const BITS_ALLOCATED: Tag = (0x0028, 0x0100);
pub(super) const BITS_STORED: Tag = (0x0028, 0x0101);
pub(super) const PIXEL_REPRESENTATION: Tag = (0x0028, 0x0103);
pub(super) const WINDOW_CENTER: Tag = (0x0028, 0x1050);
pub(super) const WINDOW_WIDTH: Tag = (0x0028, 0x1051);
pub(super) const RESCALE_INTERCEPT: Tag = (0x0028, 0x1052);
pub(super) const RESCALE_SLOPE: Tag = (0x0028, 0x1053);
pub(super) const RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR: Tag = (0x0028, 0x1101);
pub(super) const GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR: Tag = (0x0028, 0x1102);
pub(super) const BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR: Tag = (0x0028, 0x1103);
pub(super) const RED_PALETTE_COLOR_LOOKUP_TABLE_DATA: Tag = (0x0028, 0x1201);
pub(super) const GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA: Tag = (0x0028, 0x1202);
pub(super) const BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA: Tag = (0x0028, 0x1203);
pub(super) const MODALITY_LUT_SEQUENCE: Tag = (0x0028, 0x3000);
pub(super) const VOILUT_SEQUENCE: Tag = (0x0028, 0x3010);
