const PHOTO_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/avif'];
const AS_IS_BYTES = 400_000;
const LONGEST_SIDE = 1920;

export const PHOTO_ACCEPT = PHOTO_TYPES.join(',');
/** Larger than any photo these pages send; other clients may send more than a chat should hold. */
export const PHOTO_LIMIT_BYTES = 12_000_000;

export function isPhotoType(type: string): boolean {
  return PHOTO_TYPES.includes(type);
}

/**
 * Makes a photo ready to send. A large one is scaled down, so that it arrives in seconds on a slow
 * line; that also drops what the camera noted in the file, such as where it was taken.
 */
export async function preparePhoto(file: File): Promise<File> {
  if (!isPhotoType(file.type)) throw new TypeError(`not a photo: ${file.type}`);
  if (file.size <= AS_IS_BYTES) return file;
  const bitmap = await createImageBitmap(file);
  const { width, height } = fitWithin(bitmap.width, bitmap.height, LONGEST_SIDE);
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, 'image/jpeg', 0.85);
  });
  if (blob === null) throw new Error('the photo could not be encoded');
  return new File([blob], file.name.replace(/\.\w+$/, '.jpg'), { type: 'image/jpeg' });
}

/** Scales a size down, never up, so that its longest side fits. */
export function fitWithin(width: number, height: number, longest: number) {
  const scale = Math.min(1, longest / Math.max(width, height));
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}
