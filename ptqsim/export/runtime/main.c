/* Logits of images: main [--trace] FILE, where FILE has 8-bit pixels, image after image, channel by channel. */
#include "network.h"

#include <stdio.h>
#include <string.h>

static uint8_t pixels[PIXELS];
static integer logits[LOGITS];

int main(int argc, char **argv) {
    int traced = argc == 3 && strcmp(argv[1], "--trace") == 0;
    FILE *file;
    size_t got;
    if (argc != 2 && !traced) {
        fprintf(stderr, "usage: %s [--trace] FILE of 8-bit pixels, %d for every image\n", argv[0], PIXELS);
        return 2;
    }
    file = fopen(argv[argc - 1], "rb");
    if (file == NULL) {
        fprintf(stderr, "%s can't be read\n", argv[argc - 1]);
        return 2;
    }
    while ((got = fread(pixels, 1, PIXELS, file)) == PIXELS) {
        int j;
        run_network(pixels, logits, traced);
        for (j = 0; j < LOGITS; j++) printf("%lld%c", (long long)logits[j], j + 1 < LOGITS ? ' ' : '\n');
    }
    fclose(file);
    if (got != 0) {
        fprintf(stderr, "%s ends within an image\n", argv[argc - 1]);
        return 2;
    }
    return 0;
}
