use std::io::Cursor;

use atoll_plugin::Request;
use atoll_plugin::test::TestApp;
use image::{DynamicImage, ImageFormat, RgbaImage};
use serde_json::{Value, json};

use super::*;

fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let image = RgbaImage::from_fn(width, height, |x, y| [x as u8, y as u8, 128, 255].into());
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(DynamicImage::from(image).to_rgb8()).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn thumbs(config: Value) -> TestApp {
    TestApp::builder(router).config(config).start().unwrap()
}

/// Status, media type and body.
fn post(app: &TestApp, query: &str, media_type: &str, body: Vec<u8>) -> (u16, String, Vec<u8>) {
    let request = Request::post(&format!("/{query}")).header("content-type", media_type);
    let response = app.send(request.body(body));
    let media_type = response.header("content-type").unwrap().into_owned();
    (response.status(), media_type, response.body().to_vec())
}

#[test]
fn every_format_becomes_every_other_one() {
    use ImageFormat::{Jpeg, Png, WebP};
    let app = thumbs(Value::Null);
    for from in [Jpeg, Png, WebP] {
        for (to, name) in [(Jpeg, "jpeg"), (Png, "png"), (WebP, "webp")] {
            let query = format!("?width=40&height=40&format={name}");
            let (status, media_type, body) = post(&app, &query, "image/any", picture(160, 80, from));
            assert_eq!((status, media_type.as_str()), (200, to.to_mime_type()));
            assert_eq!(image::guess_format(&body).unwrap(), to);
            let made = image::load_from_memory(&body).unwrap();
            assert_eq!((made.width(), made.height()), (40, 20), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn an_image_may_be_in_a_form_and_is_not_enlarged() {
    let mut form = b"--b\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--b\r\n\
        content-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n"
        .to_vec();
    form.extend(picture(30, 20, ImageFormat::Png));
    form.extend(b"\r\n--b--\r\n");
    let (status, _, body) = post(&thumbs(Value::Null), "", "multipart/form-data; boundary=b", form);
    assert_eq!(status, 200);
    assert_eq!(image::load_from_memory(&body).unwrap().width(), 30);
}

#[test]
fn limits_name_themselves() {
    let app = thumbs(json!({ "max_bytes": 1000, "max_pixels": 100, "at_once": 1 }));
    let small = picture(10, 10, ImageFormat::Jpeg);
    let form = b"--b\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\n\r\n--b--\r\n".to_vec();
    for (query, media_type, body, status, detail) in [
        ("", "image/png", vec![0; 1001], 413, "max_bytes = 1000"),
        ("", "image/png", picture(11, 10, ImageFormat::Png), 413, "11 x 10 pixels is larger than max_pixels"),
        ("", "image/png", b"not an image".to_vec(), 415, "no image that can be read"),
        ("", "image/jpeg", small[..small.len() / 3].to_vec(), 422, ""),
        ("", "image/png", Vec::new(), 400, "send an image"),
        ("", "multipart/form-data; boundary=b", form, 400, "no field `image`"),
        ("", "multipart/form-data", Vec::new(), 400, "boundary"),
        ("?width=0", "image/png", Vec::new(), 400, "width is 0"),
        ("?format=gif", "image/png", Vec::new(), 400, "unknown variant `gif`"),
    ] {
        let (found, media_type, body) = post(&app, query, media_type, body);
        let text = String::from_utf8_lossy(&body);
        assert_eq!((found, media_type.as_str()), (status, "application/problem+json"), "{text}");
        assert!(text.contains(detail), "{detail}: {text}");
    }
}

#[test]
fn a_large_image_comes_in_pieces() {
    let app = thumbs(json!({ "max_bytes": 4_000_000 }));
    let noise = RgbaImage::from_fn(900, 900, |x, y| {
        let value = (x ^ y).wrapping_mul(2_654_435_761).to_le_bytes();
        [value[0], value[1], value[2], 255].into()
    });
    let mut image = Cursor::new(Vec::new());
    DynamicImage::from(noise).write_to(&mut image, ImageFormat::Png).unwrap();
    let image = image.into_inner();
    assert!(image.len() > 1 << 20, "more than goes at once: {}", image.len());
    let mut upload = app.upload(Request::post("/?width=30").header("content-type", "image/png"));
    for piece in image.chunks(100_000) {
        upload.send(piece);
    }
    let thumbnail = upload.into_response();
    assert_eq!(thumbnail.status(), 200, "{}", thumbnail.text());
    assert_eq!(image::load_from_memory(thumbnail.body()).unwrap().width(), 30);
}

#[test]
fn settings_that_do_not_exist_are_no_start() {
    let error = TestApp::builder(router).config(json!({ "max_byte": 1 })).start().unwrap_err();
    assert!(error.message().contains("unknown field `max_byte`"), "{error}");
}
