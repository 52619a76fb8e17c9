//! One image made small.

use std::io::Cursor;

use axum::http::StatusCode;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};
use serde::Deserialize;

use crate::problem::Problem;

const LONGEST_SIDE: u32 = 4096;

/// What is asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    width: u32,
    height: u32,
    format: Format,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Jpeg,
    Png,
    Webp,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { width: 200, height: 200, format: Format::Png }
    }
}

impl Wanted {
    pub(crate) fn checked(self) -> Result<Self, Problem> {
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if !(1..=LONGEST_SIDE).contains(&side) {
                let detail = format!("{name} is {side}; 1 to {LONGEST_SIDE} is possible");
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
        }
        Ok(self)
    }

    pub(crate) fn media_type(self) -> &'static str {
        self.format().to_mime_type()
    }

    fn format(self) -> ImageFormat {
        match self.format {
            Format::Jpeg => ImageFormat::Jpeg,
            Format::Png => ImageFormat::Png,
            Format::Webp => ImageFormat::WebP,
        }
    }
}

impl From<ImageError> for Problem {
    fn from(error: ImageError) -> Self {
        let status = match &error {
            ImageError::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ImageError::Limits(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error)
    }
}

/// Reads an image and writes its thumbnail. This computes for long.
pub(crate) fn make(image: &[u8], wanted: Wanted, max_pixels: u64) -> Result<Vec<u8>, Problem> {
    let reader = ImageReader::new(Cursor::new(image)).with_guessed_format().map_err(ImageError::from)?;
    if reader.format().is_none() {
        let detail = "this is no image that can be read: send PNG, JPEG or WebP";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        let detail =
            format!("an image of {width} x {height} pixels is larger than max_pixels = {max_pixels}");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    let (width, height) = (wanted.width.min(image.width()), wanted.height.min(image.height()));
    let small = image.thumbnail(width, height);
    // What all formats can hold: JPEG knows no transparency.
    let small = match wanted.format {
        Format::Jpeg => DynamicImage::from(small.to_rgb8()),
        Format::Png | Format::Webp => DynamicImage::from(small.to_rgba8()),
    };
    let mut thumbnail = Cursor::new(Vec::new());
    small.write_to(&mut thumbnail, wanted.format())?;
    Ok(thumbnail.into_inner())
}
