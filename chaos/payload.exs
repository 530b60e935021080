defmodule Chaos.Payload do
  # What an object carries beside its key and its number follows from the number: so the ledger holds
  # numbers only, and a payload that was damaged or belongs to another object is found.

  @doc "Of every kind of memory that the engine keeps objects in."
  def of(number) when rem(number, 499) == 0, do: :binary.copy(<<number::32>>, 25_000)

  def of(number) do
    case rem(number, 10) do
      0 -> number
      1 -> :an_atom
      2 -> <<number::64, "short">>
      3 -> :binary.copy(<<number::32>>, 40)
      4 -> %{number: number, half: number / 2}
      5 -> Map.new(0..40, &{&1, number})
      6 -> {number, [number, {"nested", number * 1.5}], 1 <<< number_of_bits(number)}
      7 -> &Integer.to_string/1
      8 -> [<<number::16>> | :binary.copy(<<number::32>>, 20)]
      9 -> {}
    end
  end

  defp number_of_bits(number), do: 64 + rem(number, 200)

  defp one <<< bits, do: Bitwise.bsl(one, bits)
end
