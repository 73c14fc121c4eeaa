/* The arguments of a program in UTF-8, on Windows. There main() gets them in the code page, which lacks most letters. */
#ifndef WINDOWS_ARGUMENTS_H
#define WINDOWS_ARGUMENTS_H

#include <stdlib.h>
#include <windows.h>

#include <shellapi.h>

#ifdef _MSC_VER
#pragma comment(lib, "shell32")
#endif

/* Returns what main() gets as argv, with a null pointer at its end; NULL without memory. It is never freed. */
static char **windows_arguments(void)
{
    int count = 0, length, i;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **arguments = (char **)calloc((size_t)count + 1, sizeof *arguments);

    for (i = 0; wide != NULL && arguments != NULL && i < count; i++) {
        length = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        arguments[i] = (char *)malloc((size_t)length + 1);
        if (arguments[i] == NULL)
            return NULL;
        WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, arguments[i], length, NULL, NULL);
    }
    LocalFree(wide);
    return wide != NULL ? arguments : NULL;
}

#endif
