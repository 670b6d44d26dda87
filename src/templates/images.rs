//! The images that the templates may show: the logos of `[brand]`. What they are is read from their bytes.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{anyhow, bail};
use imagesize::{ImageType, blob_size, image_type};

use crate::files;

/// The largest image. It is a part of every message.
const LIMIT: u64 = 100 * 1024;

/// An image that is sent with the mail.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its key in the configuration.
    pub key: &'static str,
    /// Its format.
    pub kind: ImageKind,
    /// Width and height in pixels.
    pub pixels: (usize, usize),
    /// The file.
    pub bytes: Vec<u8>,
}

/// A format that all mail programs show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum ImageKind {
    /// `image/png`.
    Png,
    /// `image/jpeg`.
    Jpeg,
}

impl Image {
    /// Reads an image.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or is no PNG or JPEG.
    pub fn read(key: &'static str, path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let bytes = files::read(path, LIMIT).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => anyhow!(
                "the logo `{shown}` (`{key}`) is larger than {} KiB, and it is a part of every message; make it smaller",
                LIMIT / 1024
            ),
            _ => anyhow!("cannot read the logo `{shown}` (`{key}`): {error}"),
        })?;
        let kind = match image_type(&bytes) {
            Ok(ImageType::Png) => ImageKind::Png,
            Ok(ImageType::Jpeg) => ImageKind::Jpeg,
            _ => bail!(
                "the logo `{shown}` (`{key}`) is no PNG or JPEG image, the formats that all mail programs show; convert it"
            ),
        };
        let pixels = match blob_size(&bytes) {
            Ok(size) if size.width > 0 && size.height > 0 => (size.width, size.height),
            _ => bail!("the logo `{shown}` (`{key}`) is damaged: it has no size; save it again"),
        };
        Ok(Self {
            key,
            kind,
            pixels,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a PNG of 64 by 32 pixels.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x20\x08\x06\0\0\0\0\0\0\0";

    #[test]
    fn an_image_is_recognised_by_its_bytes_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Image::read("brand.logo", &path).map_err(|it| it.to_string())
        };

        let image = read("logo.jpg", PNG).unwrap();
        assert_eq!((image.kind, image.pixels), (ImageKind::Png, (64, 32)));
        let largest = [PNG, &vec![0; 100 * 1024 - PNG.len()]].concat();
        assert!(read("largest.png", &largest).is_ok());
        for (bytes, why) in [
            ([&*largest, &[0]].concat(), "is larger than 100 KiB"),
            (Vec::new(), "is no PNG or JPEG"),
            (b"GIF89a\x40\0\x20\0".to_vec(), "is no PNG or JPEG"),
            (
                b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
                "is no PNG or JPEG",
            ),
            (PNG[..12].to_vec(), "is damaged"),
            (
                PNG.iter()
                    .map(|it| if *it == 0x40 { 0 } else { *it })
                    .collect(),
                "is damaged",
            ),
        ] {
            let error = read("logo.png", &bytes).unwrap_err();
            assert!(
                error.contains(why) && error.contains("`brand.logo`"),
                "{error}"
            );
        }
        let missing = Image::read("brand.logo_dark", &folder.path().join("none.png"));
        let error = missing.unwrap_err().to_string();
        assert!(error.starts_with("cannot read the logo `") && error.contains("brand.logo_dark"));
    }
}
