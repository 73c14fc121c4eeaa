! Sends one text from Fortran, whose texts have a fixed length: send RECIPIENT_ID TEXT
program send
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: error_unit
  implicit none
  interface
    integer(c_int32_t) function hma_client_from_env(client, error) bind(c)
      import :: c_int32_t, c_ptr
      type(c_ptr), intent(out) :: client, error
    end function
    integer(c_int32_t) function hma_send_text_fixed(client, recipient_id, recipient_id_length, text, text_length, &
        message_id, message_id_size, error, error_size) bind(c)
      import :: c_char, c_int32_t, c_ptr, c_size_t
      type(c_ptr), value :: client
      integer(c_size_t), value :: recipient_id_length, text_length, message_id_size, error_size
      character(kind=c_char), intent(in) :: recipient_id(*), text(*)
      character(kind=c_char), intent(out) :: message_id(*), error(*)
    end function
    integer(c_int32_t) function hma_status_delivery(status) bind(c)
      import :: c_int32_t
      integer(c_int32_t), value :: status
    end function
    subroutine hma_string_free(string) bind(c)
      import :: c_ptr
      type(c_ptr), value :: string
    end subroutine
    subroutine hma_client_free(client) bind(c)
      import :: c_ptr
      type(c_ptr), value :: client
    end subroutine
  end interface
  type(c_ptr) :: client, reason
  character(kind=c_char), pointer :: bytes(:)
  character(len=2000) :: recipient_id, text ! longer than a text may be, so that a longer one is rejected and not cut
  character(len=256) :: message_id
  character(len=512) :: error
  integer(c_int32_t) :: status
  integer :: i

  call get_command_argument(1, recipient_id)
  call get_command_argument(2, text)
  status = hma_client_from_env(client, reason)
  if (status == 0) then
    status = hma_send_text_fixed(client, recipient_id, len(recipient_id, c_size_t), text, len(text, c_size_t), &
        message_id, len(message_id, c_size_t), error, len(error, c_size_t))
  else
    error = ''
    call c_f_pointer(reason, bytes, [len(error)])
    do i = 1, len(error)
      if (bytes(i) == c_null_char) exit
      error(i:i) = bytes(i)
    end do
    call hma_string_free(reason)
  end if
  if (status == 0) print '(2a)', 'sent ', trim(message_id)
  if (status /= 0) write (error_unit, '(a)') trim(error)
  call hma_client_free(client)
  call exit(hma_status_delivery(status)) ! 0 accepted, 1 not sent, 2 rejected, 3 possibly delivered
end program
