defmodule Blanket.Receiver do
  @moduledoc false

  # The owner's side of a hand-over. An heir offers, the owner claims: the native library decides
  # that in one step, so neither can die at a point where the table would be lost or owned twice.

  alias Blanket.{Heir, Native, Rendezvous, Table}

  # How long an heir that seems to be the right one may take, until all the others are told as well.
  @hint_time 20

  @doc """
  Waits for a table, see `Blanket.receive_table/2`.
  """
  @spec receive_table(Rendezvous.wanted(), timeout) ::
          {:ok, Table.table()} | {:error, :transfer_timeout}
  def receive_table(wanted, timeout) do
    deadline = deadline(timeout)

    Rendezvous.wait(wanted, fn alias ->
      case tell(wanted) do
        :all -> await(alias, deadline)
        :some -> await_hinted(alias, deadline)
      end
    end)
  end

  @doc """
  Makes the calling process the owner of the table kept as `ref`.
  """
  @spec claim(term, reference) ::
          {:ok, Table.table()} | {:error, :already_owned | :table_not_found}
  def claim(ref, table) do
    with :ok <- Native.claim(table, self()) do
      Heir.claimed(ref)
      {:ok, identity(table)}
    end
  rescue
    # It was deleted meanwhile.
    ArgumentError -> {:error, :table_not_found}
  end

  defp tell({:ref, ref}) do
    Heir.tell(ref)
    :all
  end

  defp tell(_wanted) do
    case Heir.tell_hinted([self() | registered_name()]) do
      :told ->
        :some

      :none ->
        Heir.tell_all()
        :all
    end
  end

  # The heirs know owners by name. For one that is registered by Process.register/2 this saves
  # asking all heirs, which matters when a thousand owners come back at once.
  defp registered_name do
    case Process.info(self(), :registered_name) do
      {:registered_name, name} -> [name]
      [] -> []
    end
  end

  defp await_hinted(alias, deadline) do
    hinted = deadline(@hint_time)

    with {:error, :transfer_timeout} when hinted < deadline <- await(alias, min(hinted, deadline)) do
      Heir.tell_all()
      await(alias, deadline)
    end
  end

  defp await(alias, deadline) do
    receive do
      {^alias, :offer, ref, table} ->
        # An offer that came too early or too late is made again when the owner is gone.
        with {:error, _} <- claim(ref, table), do: await(alias, deadline)
    after
      time_left(deadline) -> {:error, :transfer_timeout}
    end
  end

  # As terms, every integer is less than :infinity.
  defp deadline(:infinity), do: :infinity
  defp deadline(timeout), do: now() + timeout

  defp time_left(:infinity), do: :infinity
  defp time_left(deadline), do: max(deadline - now(), 0)

  defp now, do: System.monotonic_time(:millisecond)

  defp identity(table) do
    case Native.info(table) do
      %{named_table: true, name: name} -> name
      _ -> table
    end
  end
end
