//! Further pages of a file: what is left out is said, and channels that are saved as pages are refused.

use tiff::TiffResult;
use tiff::tags::Tag;

use super::super::Result;
use super::Reader;

/// Pages beyond this are not looked at.
const MOST: usize = 1000;

#[derive(PartialEq, Eq)]
struct Page {
    width: Option<u32>,
    height: Option<u32>,
    channels: u16,
}

/// Looks at all pages: a note where there are several, an error where they are one picture's channels.
pub(super) fn check(reader: &mut Reader) -> TiffResult<Result<Option<String>>> {
    let mut pages = Vec::new();
    let mut next = reader.ifd_pointer();
    while let Some(pointer) = next.filter(|_| pages.len() <= MOST) {
        let directory = reader.read_directory(pointer)?;
        next = directory.next();
        let mut tags = reader.read_directory_tags(&directory);
        // Thumbnails and masks of another page are no pages of their own.
        let kind: Option<u32> = tags.find_tag_unsigned(Tag::NewSubfileType)?;
        if kind.is_none_or(|kind| kind & 0b101 == 0) {
            pages.push(Page {
                width: tags.find_tag_unsigned(Tag::ImageWidth)?,
                height: tags.find_tag_unsigned(Tag::ImageLength)?,
                channels: tags.find_tag_unsigned(Tag::SamplesPerPixel)?.unwrap_or(1),
            });
        }
    }
    let count = pages.len();
    if count < 2 {
        return Ok(Ok(None));
    }
    let grey = pages[0].channels == 1 && pages.iter().all(|page| *page == pages[0]);
    if count == 3 && grey {
        return Ok(Err(
            "the TIFF file holds three grey pages of one size, which are probably red, green and \
             blue; save it as one RGB page"
                .into(),
        ));
    }
    let more = if count > MOST { "more than " } else { "" };
    let count = count.min(MOST);
    Ok(Ok(Some(format!(
        "the TIFF file holds {more}{count} pages; the first one was used"
    ))))
}
